/**
 * Finds what is wrong in what handlers saw: a key above its limit at any instant, a run that was executed though no event asked
 * for it, or twice, or not at all, starts out of order. Pure. An execution without an end ended when its process was killed.
 */
import type { HandlerRecord } from "./records.ts";

/** A process that was ended by `kill -9`, and when. */
export interface Kill {
  readonly pid: number;
  readonly at: number;
}

/** One execution of a step, as its handler saw it. */
export interface Execution {
  readonly run: string;
  readonly step: string;
  readonly attempt: number;
  readonly attemptId: string;
  readonly pid: number;
  readonly key: string;
  readonly n: number | undefined;
  readonly seq: number | undefined;
  readonly from: number;
  readonly to: number;
  /** True: its process was killed in the middle. */
  readonly killed: boolean;
}

/** A run from its first start to its last end: while it is active, it holds its slot. */
export interface Span {
  readonly run: string;
  readonly key: string;
  readonly n: number | undefined;
  readonly seq: number | undefined;
  readonly from: number;
  readonly to: number;
}

/**
 * Pairs starts and ends. What has neither an end nor a killed process still ran at the time of the last record, or had lost its
 * end: that is a problem, unless `open` allows it.
 */
export function executionsOf(
  records: readonly HandlerRecord[],
  kills: readonly Kill[] = [],
): { readonly executions: readonly Execution[]; readonly problems: readonly string[] } {
  const open = new Map<string, HandlerRecord>();
  const executions: Execution[] = [];
  const problems: string[] = [];
  const close = (start: HandlerRecord, to: number, killed: boolean): void => {
    const { run, step, attempt, attemptId, pid, keys, n, seq, at } = start;
    executions.push({ run, step, attempt, attemptId, pid, key: keys[0] ?? "", n, seq, from: at, to, killed });
  };
  for (const entry of [...records].sort((a, b) => a.at - b.at)) {
    const id = `${entry.pid} ${entry.attemptId}`;
    const start = open.get(id);
    if (entry.what === "start") {
      if (start !== undefined) problems.push(`attempt ${entry.attemptId} started twice in process ${entry.pid}`);
      open.set(id, entry);
    } else if (start === undefined)
      problems.push(`attempt ${entry.attemptId} ended in process ${entry.pid} without having started`);
    else {
      open.delete(id);
      close(start, entry.at, false);
    }
  }
  for (const start of open.values()) {
    const kill = kills.find(({ pid }) => pid === start.pid);
    if (kill === undefined) problems.push(`attempt ${start.attemptId} never ended, though process ${start.pid} was not killed`);
    else close(start, Math.max(kill.at, start.at), true);
  }
  return { executions: executions.sort((a, b) => a.from - b.from), problems };
}

export function spansOf(executions: readonly Execution[]): Span[] {
  const spans = new Map<string, Span>();
  for (const { run, key, n, seq, from, to } of executions) {
    const span = spans.get(run);
    spans.set(run, { run, key, n, seq, from: Math.min(from, span?.from ?? from), to: Math.max(to, span?.to ?? to) });
  }
  return [...spans.values()].sort((a, b) => a.from - b.from);
}

/** The most spans of a key at one instant. One that ends when another begins does not count beside it. */
export function peaks(spans: readonly Pick<Span, "key" | "from" | "to">[]): Map<string, number> {
  const changes = spans.flatMap(({ key, from, to }) => [
    { key, at: from, by: 1 },
    { key, at: to, by: -1 },
  ]);
  changes.sort((a, b) => a.at - b.at || a.by - b.by);
  const active = new Map<string, number>();
  const most = new Map<string, number>();
  for (const { key, by } of changes) {
    const count = (active.get(key) ?? 0) + by;
    active.set(key, count);
    most.set(key, Math.max(count, most.get(key) ?? 0));
  }
  return most;
}

/** Keys that had more runs at once than they may, in words, each with the runs of the moment when there were most. */
export function aboveLimit(spans: readonly Span[], maxRuns: number): string[] {
  return [...peaks(spans)].flatMap(([key, most]) => {
    if (most <= maxRuns) return [];
    const its = spans.filter((span) => span.key === key);
    const at = ({ from }: Span): Span[] => its.filter((other) => other.from <= from && from < other.to);
    const together = its.map(at).reduce((a, b) => (b.length > a.length ? b : a));
    const words = together.map(({ run, n, from, to }) => `${run} (event ${n}) from ${from.toFixed(1)} to ${to.toFixed(1)} ms`);
    return [`key ${key} had ${most} runs at once, its limit is ${maxRuns}: ${words.join(", ")}`];
  });
}

export interface Expectation {
  /** The `n` of each event that was acknowledged. */
  readonly events: readonly number[];
  /** The `n` of those whose acknowledgement was lost: they may have a run. */
  readonly unsure?: readonly number[];
  /** Steps of the workflow, in their order; the first one starts the run. */
  readonly steps: readonly string[];
  readonly maxRuns: number;
  readonly kills?: readonly Kill[];
}

/** Everything that is wrong, in words; empty when all is well. */
export function checkRecords(
  records: readonly HandlerRecord[],
  { events, unsure = [], steps, maxRuns, kills = [] }: Expectation,
): string[] {
  const { executions, problems: unpaired } = executionsOf(records, kills);
  const problems = [...unpaired];
  const runsOf = new Map<number, Set<string>>();
  const stepsOf = new Map<string, Set<string>>();
  for (const { n, run, step, killed, attemptId } of executions) {
    if (n === undefined) problems.push(`attempt ${attemptId} belongs to no event`);
    else {
      const runs = runsOf.get(n) ?? new Set();
      runsOf.set(n, runs.add(run));
    }
    if (!steps.includes(step)) problems.push(`step ${step} of run ${run} is not one of ${steps.join(", ")}`);
    const done = stepsOf.get(run) ?? new Set();
    stepsOf.set(run, killed ? done : done.add(step));
  }
  const expected = new Set(events);
  for (const n of [...events, ...unsure]) {
    const runs = [...(runsOf.get(n) ?? [])];
    if (runs.length === 0 && expected.has(n)) problems.push(`event ${n} has no run`);
    if (runs.length > 1) problems.push(`event ${n} has ${runs.length} runs: ${runs.join(", ")}`);
    for (const run of runs)
      for (const step of steps)
        if (stepsOf.get(run)?.has(step) !== true)
          problems.push(`step ${step} of run ${run} (event ${n}) was never executed to its end`);
  }
  for (const n of runsOf.keys())
    if (!expected.has(n) && !unsure.includes(n)) problems.push(`event ${n} has a run, but was never acknowledged`);
  problems.push(...aboveLimit(spansOf(executions), maxRuns));
  return problems;
}

/**
 * Runs whose first step began before that of an earlier run of the same key. `toleranceMs`: two runs that are admitted together go to
 * two processes, which may begin in either order. `except`: runs whose first execution was lost with its worker.
 */
export function startsOutOfOrder(
  executions: readonly Execution[],
  { toleranceMs = 0, except = new Set<string>() }: { readonly toleranceMs?: number; readonly except?: ReadonlySet<string> } = {},
): string[] {
  const problems: string[] = [];
  const byKey = new Map<string, Span[]>();
  for (const span of spansOf(executions)) {
    if (except.has(span.run)) continue;
    const spans = byKey.get(span.key);
    if (spans === undefined) byKey.set(span.key, [span]);
    else spans.push(span);
  }
  for (const [key, spans] of byKey) {
    // The latest start of all events before this one.
    let latest: Span | undefined;
    for (const span of spans.sort((a, b) => (a.seq ?? 0) - (b.seq ?? 0))) {
      if (latest !== undefined && span.from < latest.from - toleranceMs)
        problems.push(
          `key ${key}: event ${span.seq} started ${(latest.from - span.from).toFixed(1)} ms before event ${latest.seq}, which came earlier`,
        );
      if (latest === undefined || span.from > latest.from) latest = span;
    }
  }
  return problems;
}
