/**
 * What the handlers saw, against the journal: nothing is executed that is not recorded as assigned, every execution ends, and at no instant
 * handlers of more runs of a key are at work than its limit allows.
 *
 * An execution counts from its start to its end. It may go on after the engine has rightly given it up, and then counts until that
 * moment only:
 * - its worker could not be heard for its deadline (it was paused or killed, or its links or the NATS servers were disturbed), so that
 *   it was taken for dead: the promise is "at least once", and the worker aborts what it has when it notices;
 * - it was told to stop and took no notice for the grace of its workflow.
 * Given up without such a reason, it counts in full: then a limit that is broken is the engine's fault.
 */
import type { HandlerRecord } from "../acceptance/support/records.ts";
import { groupOf, type LimitChange } from "./check-journal.ts";
import type { History, Trouble, Violation } from "./history.ts";
import type { AttemptLife, RunLife } from "./run-lives.ts";

/** Between what two processes of one machine call the same moment, and for what lies between a fact and its message. */
const TOLERANCE_MS = 20;
/** Between the end of a trouble and the recording of what it caused. */
const AFTERMATH_MS = 5_000;

interface Interval {
  readonly run: string;
  readonly attemptId: string;
  readonly pid: number;
  readonly from: number;
  readonly to: number;
  readonly groups: readonly string[];
  readonly admittedAt: number;
}

export function checkHandlers(
  history: History,
  lives: ReadonlyMap<string, RunLife>,
  changes: readonly LimitChange[],
): Violation[] {
  const violations: Violation[] = [];
  const limitsOf = new Map(history.workflows.map(({ name, limits }) => [name, limits.map((limit) => limit.name)]));
  const graceOf = new Map(history.workflows.map(({ name, graceMs }) => [name, graceMs]));
  const intervals: Interval[] = [];
  for (const { start, end } of pair(history, violations)) {
    const life = lives.get(start.run);
    const attempt = life?.attempts.get(start.attemptId);
    const whose = `attempt ${start.attemptId} of ${start.workflow} in process ${start.pid}`;
    if (life === undefined || attempt === undefined) {
      violations.push({ rule: "execution-is-recorded", run: start.run, text: `${whose} is in no journal` });
      continue;
    }
    if (start.at < attempt.assignedAt - TOLERANCE_MS)
      violations.push({
        rule: "execution-is-recorded",
        run: start.run,
        text: `${whose} began ${(attempt.assignedAt - start.at).toFixed(0)} ms before its assignment was recorded`,
      });
    const givenUp = rightlyGivenUp(attempt, life, start.pid, graceOf.get(start.workflow) ?? 0, history);
    const to = givenUp ? Math.min(end, attempt.overAt ?? end) : end;
    if (to <= start.at) continue;
    const groups = (limitsOf.get(start.workflow) ?? []).map((limit, index) => groupOf(limit, life.keys[index] ?? ""));
    const { run, attemptId, pid, at: from } = start;
    intervals.push({ run, attemptId, pid, from, to, groups, admittedAt: life.admittedAt ?? from });
  }
  violations.push(...checkLimits(intervals, changes));
  return violations;
}

/** Starts with their ends; that of a killed process is its death. */
function pair({ records, kills }: History, violations: Violation[]): { start: HandlerRecord; end: number }[] {
  const deaths = new Map(kills.map(({ pid, at }) => [pid, at]));
  const ends = new Map<string, HandlerRecord>();
  for (const record of records) if (record.what === "end") ends.set(`${record.pid} ${record.attemptId}`, record);
  const pairs: { start: HandlerRecord; end: number }[] = [];
  const seen = new Set<string>();
  for (const start of records) {
    if (start.what !== "start") continue;
    const id = `${start.pid} ${start.attemptId}`;
    const whose = `attempt ${start.attemptId} of ${start.workflow} in process ${start.pid}`;
    if (seen.has(id)) violations.push({ rule: "execution-is-recorded", run: start.run, text: `${whose} was started twice` });
    seen.add(id);
    const end = ends.get(id)?.at ?? deaths.get(start.pid);
    if (end === undefined)
      violations.push({
        rule: "execution-ends",
        run: start.run,
        text: `${whose} has never ended, and its process was not killed`,
      });
    else pairs.push({ start, end: Math.max(end, start.at) });
  }
  return pairs;
}

/** Whether the engine had a reason to go on without an execution that may still have been under way. */
function rightlyGivenUp(attempt: AttemptLife, life: RunLife, pid: number, graceMs: number, history: History): boolean {
  const { overAt, how } = attempt;
  if (overAt === undefined) return false;
  // Its own end was on its way: what was recorded later cannot be too early.
  if (how === "done" || how === "error") return false;
  if (life.cancelledAt !== undefined && overAt - life.cancelledAt >= graceMs - TOLERANCE_MS) return true;
  return history.troubles.some(
    (trouble) =>
      concerns(trouble, pid) && overAt >= trouble.from && overAt <= trouble.to + history.workerDeadlineMs + AFTERMATH_MS,
  );
}

function concerns({ pids }: Trouble, pid: number): boolean {
  return pids === "all workers" || pids.includes(pid);
}

/** At each start: how many different runs of the key have a handler at work, and what the limit was since the first of them was admitted. */
function checkLimits(intervals: readonly Interval[], changes: readonly LimitChange[]): Violation[] {
  const violations: Violation[] = [];
  const byGroup = new Map<string, Interval[]>();
  for (const interval of intervals)
    for (const group of interval.groups) {
      const list = byGroup.get(group);
      if (list === undefined) byGroup.set(group, [interval]);
      else list.push(interval);
    }
  for (const [group, list] of byGroup) {
    const limits = changes.filter((change) => change.group === group).sort((a, b) => a.at - b.at);
    let open: Interval[] = [];
    for (const interval of list.sort((a, b) => a.from - b.from)) {
      open = open.filter(({ to }) => to > interval.from);
      open.push(interval);
      const runs = new Set(open.map(({ run }) => run));
      const allowed = highest(limits, Math.min(...open.map(({ admittedAt }) => admittedAt)), interval.from);
      if (runs.size > allowed)
        violations.push({
          rule: "limit-in-handlers",
          run: interval.run,
          text: `${group}: handlers of ${runs.size} runs were at work at once, at most ${allowed} may be: ${open
            .map(({ attemptId, pid, from, to }) => `${attemptId} in process ${pid} from ${from.toFixed(0)} to ${to.toFixed(0)}`)
            .join("; ")}`,
        });
    }
  }
  return violations;
}

/** The highest limit that was in force at some time from `from` to `to`. */
function highest(limits: readonly LimitChange[], from: number, to: number): number {
  let before = 0;
  let most = 0;
  for (const { at, maxRuns } of limits) {
    if (at <= from - TOLERANCE_MS) before = maxRuns;
    else if (at <= to + TOLERANCE_MS) most = Math.max(most, maxRuns);
  }
  return Math.max(before, most);
}
