/** How many runs the file has, by workflow, version and status: kept with every change, so that nobody has to count them. */
import type { RunStatus } from "../protocol/view.ts";
import type { Sql, Statement } from "./database.ts";
import { RUN_STATUSES } from "./run-status.ts";

interface Count {
  readonly workflow: string;
  readonly version: string;
  readonly status: number;
  runs: number;
}

export class RunCounts {
  readonly #sql: Sql;
  readonly #set: Statement;
  readonly #counts = new Map<string, Count>();
  readonly #changed = new Set<Count>();

  constructor(sql: Sql) {
    this.#sql = sql;
    this.#set = sql.prepare("INSERT INTO counts VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET runs = excluded.runs");
    this.reload();
  }

  /** What the file says: after a transaction that failed. */
  reload(): void {
    this.#counts.clear();
    this.#changed.clear();
    const rows = this.#sql.prepare("SELECT workflow, version, status, runs FROM counts").raw().all();
    for (const [workflow, version, status, runs] of rows as [string, string, number, number][])
      this.#count(workflow, version, status).runs = runs;
  }

  add(workflow: string, version: string, status: number, runs: number): void {
    const count = this.#count(workflow, version, status);
    count.runs += runs;
    this.#changed.add(count);
  }

  /** Part of the transaction that changed the runs. */
  write(): void {
    for (const { workflow, version, status, runs } of this.#changed) this.#set.run([workflow, version, status, runs]);
    this.#changed.clear();
  }

  get total(): number {
    let total = 0;
    for (const { runs } of this.#counts.values()) total += runs;
    return total;
  }

  /** Of a workflow, or of all; of one version, or of all. Every status is there. */
  byStatus(workflow?: string, version?: string): Record<RunStatus, number> {
    const found = Object.fromEntries(RUN_STATUSES.map((status) => [status, 0])) as Record<RunStatus, number>;
    for (const count of this.#counts.values()) {
      if ((workflow !== undefined && count.workflow !== workflow) || (version !== undefined && count.version !== version))
        continue;
      const status = RUN_STATUSES[count.status];
      if (status !== undefined) found[status] += count.runs;
    }
    return found;
  }

  #count(workflow: string, version: string, status: number): Count {
    const id = `${status} ${workflow} ${version}`;
    let count = this.#counts.get(id);
    if (count === undefined) this.#counts.set(id, (count = { workflow, version, status, runs: 0 }));
    return count;
  }
}
