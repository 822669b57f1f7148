/** Everything of a partition's state that recovery has to give back, in a form that can be compared and read. */
import { turnsOf } from "../../machines/group/index.ts";
import type { SnapshotLine } from "../../src/engine/facts.ts";
import type { Group } from "../../src/engine/group.ts";
import type { PartitionCore } from "../../src/engine/partition-core.ts";
import { INLINE_INPUT_CHARS, type LiveRun, type Run } from "../../src/engine/run.ts";
import { canonical } from "../../src/step/stepper.ts";
import { NAMES } from "./recovery-world.ts";

export function stateOf(core: PartitionCore) {
  return {
    inboxSeq: core.inboxSeq,
    positions: sorted([...core.positions]),
    nextTimerMs: core.nextTimerMs,
    rules: sorted([...core.groups.rules]),
    groups: sorted([...core.groups].map((group) => [group.id, groupOf(group)] as const)),
    runs: sorted([...core.runs.values()].map((run) => [run.run, runOf(run)] as const)),
    keying: NAMES.map((name) => core.keyingHead(name, 1_000).map(({ run }) => run)),
    // Positions, counters and crons are in the head; the lines tell in which order everything goes on.
    snapshot: sorted([...core.snapshotLines()].map((line) => idAndLine(JSON.parse(line) as SnapshotLine))),
    order: inOrder([...core.snapshotLines()].map((line) => JSON.parse(line) as SnapshotLine)),
  };
}

function idAndLine(line: SnapshotLine): readonly [string, unknown] {
  if (line.s === "run") return [line.created.run, line];
  const { limits, groups, crons, turns, ...rest } = line;
  // These are in no order.
  const lists = [limits, groups, crons, turns].map((list) => list.map((item) => JSON.stringify(item)).sort());
  return ["", { ...rest, lists }];
}

/** Runs by what they wait for, in their order. */
function inOrder(lines: readonly SnapshotLine[]) {
  const queues = new Map<string, string[]>();
  for (const line of lines) {
    if (line.s === "head") continue;
    const { run, phase, wf } = line.created;
    const queue =
      line.moved !== undefined
        ? `moved to ${line.moved.to}`
        : phase === "keying"
          ? `keys of ${wf}`
          : phase === "scheduled"
            ? phase
            : "groups";
    queues.set(queue, [...(queues.get(queue) ?? []), run]);
  }
  return sorted([...queues]);
}

function groupOf({ context, settings }: Group) {
  const ids = (entries: Iterable<{ readonly run: string }>) => [...entries].map(({ run }) => run);
  const { strategy, maxRuns, paused, active, stopping, waiting, held, proposed, evictable } = context;
  return {
    settings,
    strategy,
    maxRuns,
    paused,
    active: ids(active),
    stopping: ids(stopping),
    waiting: ids(waiting),
    held: ids(held),
    proposed: proposed?.run,
    evictable: ids(evictable),
    turns: turnsOf(context),
  };
}

function runOf(run: Run) {
  const { phase, order, flow, gated, priority, keys, input, ref, rest, createdAt, timer, live, event, workflow } = run;
  return {
    version: workflow.spec.version,
    phase,
    order,
    flow,
    gated,
    priority,
    keys,
    // A large one is only kept while it may be of use at once.
    input: input !== undefined && input.length > INLINE_INPUT_CHARS ? undefined : input,
    ref,
    rest,
    createdAt,
    event,
    timer: timer?.dueMs,
    live: live && liveOf(live),
  };
}

function liveOf({ snapshot, events, timers, attempts, ready, executions, admittedAt, started }: LiveRun) {
  return {
    snapshot: JSON.parse(canonical(snapshot)) as unknown,
    events,
    timers: sorted(
      [...timers].map(([id, { dueMs, value }]) => [id, dueMs, value.kind === "machine" ? value.event : value.kind] as const),
    ),
    attempts: sorted([...attempts.values()].map((attempt) => [attempt.step, { ...attempt }] as const)),
    ready: sorted(
      [...ready.values()].map(
        ({ step, handler, priority, order, flow, since }) => [step, handler, priority, order, flow, since] as const,
      ),
    ),
    executions,
    admittedAt,
    started,
  };
}

function sorted<T extends readonly [string, ...unknown[]]>(rows: T[]): T[] {
  return rows.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}
