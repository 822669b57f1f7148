/**
 * What became of a mix, told alike by whoever ran it: ids, sequences and workers, which no two systems share, are replaced by the
 * names that the mix gave its runs. All times are virtual, and so are part of it.
 */
import type { RunChangeMessage, RunEventView, RunView, StepContext } from "../../../src/index.ts";
import type { MixInput } from "./mix-workflows.ts";

/** A change of a run or a start or end of a handler, when it happened. */
export interface Happening {
  readonly atMs: number;
  readonly what: "change" | "start" | "end";
  readonly run: string;
  readonly text: string;
}

export interface MixRun {
  readonly view: RunView;
  readonly events: readonly RunEventView[];
}

export interface MixResult {
  /** By the names of the runs; everything that became of each. */
  readonly runs: ReadonlyMap<string, unknown>;
  /** Of each limit and key, the runs that it admitted, in order. */
  readonly admitted: ReadonlyMap<string, readonly string[]>;
  /** Statuses with their reasons, and how many runs have them. */
  readonly tally: Readonly<Record<string, number>>;
}

export function happeningOf({ id, at, change, status, reason, step, stepStatus, attempt }: RunChangeMessage): Happening {
  const text = [change, status, reason, step, stepStatus, attempt].filter((part) => part !== undefined).join(" ");
  return { atMs: Date.parse(at), what: "change", run: id, text };
}

export function handlerHappening(atMs: number, what: "start" | "end", ctx: StepContext): Happening {
  const { name } = (ctx.signal.reason ?? {}) as { readonly name?: string };
  return { atMs, what, run: ctx.runId, text: `${ctx.step} ${ctx.attempt}${name === undefined ? "" : ` ${name}`}` };
}

/** The mix's name of a run: its workflow and the number in its input; runs of crons have the time of their tick. */
export function labelOf({ workflow, input, metadata, replayOf }: RunView): string {
  const { n } = input as MixInput;
  if (n < 0) return `${workflow} at ${String(metadata["tick"])}`;
  return `${workflow} ${n}${replayOf === undefined ? "" : " again"}`;
}

export function resultOf(runs: readonly MixRun[], happenings: readonly Happening[]): MixResult {
  const labels = new Map(runs.map(({ view }) => [view.id, labelOf(view)]));
  const renamed = (text: string): string => text.replace(/\brun-\d+|\b[0-9A-HJKMNP-TV-Z]{26}/g, (id) => labels.get(id) ?? id);
  const changes = new Map<string, string[]>();
  const executions = new Map<string, string[]>();
  const admitted = new Map<string, string[]>();
  const views = new Map(runs.map(({ view }) => [view.id, view]));
  for (const { atMs, what, run, text } of happenings) {
    // Which of the two is heard of first, at one instant, says nothing.
    const lines = listIn(what === "change" ? changes : executions, run);
    lines.push(`${new Date(atMs).toISOString()} ${what} ${text}`);
    if (what === "change" && text.startsWith("admitted"))
      for (const { limit, key } of views.get(run)?.keys ?? []) listIn(admitted, `${limit} ${key}`).push(labels.get(run) ?? run);
  }
  const tally: Record<string, number> = {};
  const told = new Map<string, unknown>();
  for (const { view, events } of runs) {
    const name = view.reason === undefined ? view.status : `${view.status} ${view.reason}`;
    tally[name] = (tally[name] ?? 0) + 1;
    const [created, ...later] = events;
    const all = {
      view,
      created: created?.data,
      events: later,
      changes: changes.get(view.id),
      executions: executions.get(view.id),
    };
    const text = JSON.stringify(all, (field, value: unknown) => (NOT_SHARED.has(field) ? undefined : value));
    const label = labels.get(view.id) as string;
    if (told.has(label)) throw new Error(`there are two runs called ${label}`);
    told.set(label, JSON.parse(renamed(text)));
  }
  return { runs: told, admitted, tally };
}

function listIn(map: Map<string, string[]>, name: string): string[] {
  let list = map.get(name);
  if (list === undefined) map.set(name, (list = []));
  return list;
}

/**
 * Ids of workers, positions in streams, when a server stored an event, where the id of a run without limits has put it, and through
 * which functions of the engine a handler was called.
 */
const NOT_SHARED: ReadonlySet<string> = new Set(["worker", "seq", "createdAt", "ref", "inputRef", "partition", "stack"]);

const SHOWN = 5;

/** What differs, in words; empty where nothing does. The first few, each with how many there are. */
export function differences(one: MixResult, other: MixResult): string[] {
  const found: string[] = [];
  const compare = (what: string, a: ReadonlyMap<string, unknown>, b: ReadonlyMap<string, unknown>): void => {
    const differ = [...new Set([...a.keys(), ...b.keys()])].flatMap((name) => {
      const difference = firstDifference(a.get(name), b.get(name), "");
      return difference === undefined ? [] : [`${what} ${name}${difference}`];
    });
    found.push(...differ.slice(0, SHOWN).map((text) => `${text} (${differ.length} differ)`));
  };
  compare("run", one.runs, other.runs);
  compare("admissions of", one.admitted, other.admitted);
  return found;
}

function firstDifference(a: unknown, b: unknown, path: string): string | undefined {
  if (typeof a === "object" && typeof b === "object" && a !== null && b !== null) {
    for (const field of new Set([...Object.keys(a), ...Object.keys(b)])) {
      const [x, y] = [(a as Record<string, unknown>)[field], (b as Record<string, unknown>)[field]];
      const difference = firstDifference(x, y, `${path}.${field}`);
      if (difference !== undefined) return difference;
    }
    return undefined;
  }
  return a === b ? undefined : `${path}: ${JSON.stringify(a)} and ${JSON.stringify(b)}`;
}
