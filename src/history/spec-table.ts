/**
 * The definitions of workflows by version, in memory and in the file: for the names of steps and limits, and for the machines that
 * runs of versions had which nobody else knows any more.
 */
import { runMachineConfig } from "../../machines/run/compile.ts";
import type { MachineDefinition } from "../protocol/record.ts";
import { describeMachine } from "../step/definition.ts";
import { createEventIndex } from "../workflow/event-pattern.ts";
import type { WorkflowSpec } from "../workflow/spec.ts";
import type { Sql } from "./database.ts";
import { recordedMachine, type RecordedMachine } from "./run-record.ts";

/** Compiled machines that are kept: those of the runs that were looked at last. */
const MAX_RECORDED = 50;

export class SpecTable {
  readonly #sql: Sql;
  readonly #specs = new Map<string, WorkflowSpec>();
  readonly #recorded = new Map<string, RecordedMachine>();
  readonly #events = createEventIndex<string>();
  readonly #hashes = new Map<string, string>();

  constructor(sql: Sql) {
    this.#sql = sql;
    for (const [text] of sql.prepare("SELECT spec FROM specs").raw().all() as [string][])
      this.#remember(JSON.parse(text) as WorkflowSpec);
  }

  get(workflow: string, version: string): WorkflowSpec | undefined {
    return this.#specs.get(`${workflow} ${version}`);
  }

  /** Names of the workflows that an event starts, or has started, in any of their versions. */
  startedBy(event: string): ReadonlySet<string> {
    return new Set(this.#events.match(event));
  }

  /** Its machine, to replay runs. Undefined for a version that is not known. */
  recorded(workflow: string, version: string): RecordedMachine | undefined {
    const id = `${workflow} ${version}`;
    const spec = this.#specs.get(id);
    if (spec === undefined) return undefined;
    const machine = this.#recorded.get(id) ?? recordedMachine(spec);
    this.#recorded.delete(id);
    this.#recorded.set(id, machine);
    for (const oldest of this.#recorded.keys()) {
      if (this.#recorded.size <= MAX_RECORDED) break;
      this.#recorded.delete(oldest);
    }
    return machine;
  }

  /** The machine of a version, or the one with this hash, as a definition. */
  machine(
    which: { readonly hash: string } | { readonly workflow: string; readonly version: string },
  ): MachineDefinition | undefined {
    if (!("hash" in which)) return definitionOf(this.get(which.workflow, which.version));
    for (const [id, spec] of this.#specs) {
      const hash = this.#hashes.get(id) ?? definitionOf(spec)?.hash;
      if (hash !== undefined) this.#hashes.set(id, hash);
      if (hash === which.hash) return definitionOf(spec);
    }
    return undefined;
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

  /** Whether these are all the versions of their workflows. */
  isInAllVersions(specs: readonly WorkflowSpec[]): boolean {
    const names = new Set(specs.map(({ name }) => name));
    let versions = 0;
    for (const { name } of this.#specs.values()) if (names.has(name)) versions++;
    return versions === specs.length;
  }

  #remember(spec: WorkflowSpec): void {
    this.#specs.set(`${spec.name} ${spec.version}`, spec);
    for (const pattern of spec.on) this.#events.add(pattern, spec.name);
  }
}

function definitionOf(spec: WorkflowSpec | undefined): MachineDefinition | undefined {
  return spec && { name: spec.name, ...describeMachine({ id: "run", config: runMachineConfig(spec) }) };
}
