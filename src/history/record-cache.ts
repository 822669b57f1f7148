/**
 * Records of runs that were looked at lately, as texts: a life that goes on is told on, not told again from its beginning. Knows
 * the tables, but no threads.
 *
 * A record is kept with the place up to where the run's facts are in it. What came since is read alone, and told on, unless it is
 * of another partition, or of a run or a machine that is not the same any more: then the whole is told anew. Whoever replaces or
 * deletes facts calls `clear`.
 */
import type { Redactor } from "../protocol/redact.ts";
import type { Sql, Statement } from "./database.ts";
import { MAX_FRAMES, RunLife } from "./run-record.ts";
import { redactStays } from "./sealing.ts";
import type { SpecTable } from "./spec-table.ts";
import { parseStored, type Stay, staysOf } from "./stored-facts.ts";

/** Of all records together. A frame is some 2,000 characters; strings of mere ASCII need a byte for each. */
const MAX_CHARS = 48 * 1024 * 1024;

interface KeptRecord {
  /** Number of the run's row. */
  readonly n: number;
  readonly life: RunLife;
  /** What comes from there comes next. -1: the run's moves leave that open. */
  readonly partition: number;
  /** Hash of the machine that it was told with. */
  readonly machine: string | undefined;
  /** The last row of `later` that is in it. */
  later: number;
  /** One JSON text per frame, the oldest first. */
  frames: string[];
  chars: number;
}

export interface RecordCacheOptions {
  readonly redactor: Redactor;
  readonly maxChars?: number;
}

export class RecordCache {
  readonly #specs: SpecTable;
  readonly #redactor: Redactor;
  readonly #maxChars: number;
  readonly #row: Statement;
  readonly #facts: Statement;
  readonly #later: Statement;
  /** Those that were asked for last are last. */
  readonly #kept = new Map<string, KeptRecord>();
  #chars = 0;

  constructor(sql: Sql, specs: SpecTable, { redactor, maxChars = MAX_CHARS }: RecordCacheOptions) {
    this.#specs = specs;
    this.#redactor = redactor;
    this.#maxChars = maxChars;
    this.#row = sql.prepare("SELECT n, workflow, version FROM runs WHERE id = ?").raw();
    this.#later = sql.prepare("SELECT n, facts FROM later WHERE run = ? AND n > ? ORDER BY n").raw();
    this.#facts = sql.prepare("SELECT facts FROM runs WHERE n = ?").raw();
  }

  /** Characters of the frames that are kept. */
  get chars(): number {
    return this.#chars;
  }

  /** The record of a run as JSON; with `after`, only the frames with a higher index. Undefined for a run that the file does not have. */
  read(id: string, after = -1): string | undefined {
    const row = this.#row.get(id) as [number, string, string] | undefined;
    if (row === undefined) return undefined;
    const [n, workflow, version] = row;
    const machine = this.#specs.recorded(workflow, version);
    const known = this.#kept.get(id);
    this.#forget(id);
    const fits = known !== undefined && known.n === n && known.machine === machine?.hash && this.#tellOn(known);
    const record = fits ? known : this.#tell(id, n, workflow, version);
    this.#keep(id, record);
    return textOf(record, after);
  }

  clear(): void {
    this.#kept.clear();
    this.#chars = 0;
  }

  #tell(id: string, n: number, workflow: string, version: string): KeptRecord {
    const [facts] = this.#facts.get(n) as [string];
    const later = this.#laterThan(n, 0);
    const stays = staysOf(parseStored([facts, ...later.map(([, text]) => text)]));
    const machine = this.#specs.recorded(workflow, version);
    const record: KeptRecord = {
      n,
      life: new RunLife({ id, spec: this.#specs.get(workflow, version), machine }),
      partition: new Set(stays.map(({ partition }) => partition)).size === stays.length ? (stays.at(-1)?.partition ?? -1) : -1,
      machine: machine?.hash,
      later: later.at(-1)?.[0] ?? 0,
      frames: [],
      chars: 0,
    };
    this.#add(record, stays);
    return record;
  }

  /** False where it is to be told anew. */
  #tellOn(record: KeptRecord): boolean {
    const later = this.#laterThan(record.n, record.later);
    if (later.length === 0) return true;
    const stays = staysOf(parseStored(later.map(([, text]) => text)));
    const [stay, ...others] = stays;
    // In another partition the order in which the facts came need not be the one in which they were true.
    if (stay === undefined || others.length > 0 || stay.partition !== record.partition) return false;
    if (stay.facts.some(({ k }) => k === "created" || k === "moved")) return false;
    record.later = later.at(-1)?.[0] ?? record.later;
    this.#add(record, stays);
    return true;
  }

  #add(record: KeptRecord, stays: readonly Stay[]): void {
    // Whatever the rules were when it was stored: it is for people to look at.
    for (const frame of record.life.tell(redactStays(stays, this.#redactor))) {
      const text = JSON.stringify(frame);
      record.frames.push(text);
      record.chars += text.length;
    }
    for (const old of record.frames.splice(0, Math.max(0, record.frames.length - MAX_FRAMES))) record.chars -= old.length;
  }

  #laterThan(run: number, n: number): [number, string][] {
    return this.#later.all([run, n]) as [number, string][];
  }

  #keep(id: string, record: KeptRecord): void {
    if (record.chars > this.#maxChars) return;
    this.#kept.set(id, record);
    this.#chars += record.chars;
    for (const oldest of this.#kept.keys()) {
      if (this.#chars <= this.#maxChars) break;
      this.#forget(oldest);
    }
  }

  #forget(id: string): void {
    this.#chars -= this.#kept.get(id)?.chars ?? 0;
    this.#kept.delete(id);
  }
}

function textOf({ life, frames }: KeptRecord, after: number): string | undefined {
  const { head, cut } = life;
  if (head === undefined) return undefined;
  // Frames are numbered without a gap, from `cut` on.
  const news = after < cut ? frames : frames.slice(after + 1 - cut);
  const end = cut > 0 ? `,"cut":${cut}}` : "}";
  return `${JSON.stringify(head).slice(0, -1)},"frames":[${news.join(",")}]${end}`;
}
