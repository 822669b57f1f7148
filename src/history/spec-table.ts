/** The definitions of workflows by version, in memory and in the file: for the names of steps and limits. */
import type { WorkflowSpec } from "../workflow/spec.ts";
import type { Sql } from "./database.ts";

export class SpecTable {
  readonly #sql: Sql;
  readonly #specs = new Map<string, WorkflowSpec>();

  constructor(sql: Sql) {
    this.#sql = sql;
    for (const [text] of sql.prepare("SELECT spec FROM specs").raw().all() as [string][])
      this.#remember(JSON.parse(text) as WorkflowSpec);
  }

  get(workflow: string, version: string): WorkflowSpec | undefined {
    return this.#specs.get(`${workflow} ${version}`);
  }

  /** A version's definition never changes. */
  add(spec: WorkflowSpec): void {
    if (this.get(spec.name, spec.version) !== undefined) return;
    // Its schema is for forms, which ask the engine.
    const { inputSchema: _, ...stored } = spec;
    this.#sql.prepare("INSERT OR REPLACE INTO specs VALUES (?, ?, ?)").run([spec.name, spec.version, JSON.stringify(stored)]);
    this.#remember(stored);
  }

  /** Names of all limits of all versions. */
  limits(): readonly string[] {
    return [...new Set([...this.#specs.values()].flatMap((spec) => spec.limits.map((limit) => limit.name)))];
  }

  /** The versions that have a limit. */
  withLimit(limit: string): readonly WorkflowSpec[] {
    return [...this.#specs.values()].filter((spec) => spec.limits.some(({ name }) => name === limit));
  }

  #remember(spec: WorkflowSpec): void {
    this.#specs.set(`${spec.name} ${spec.version}`, spec);
  }
}
