/**
 * Runs and groups as the API shows them, from the state of their owner. Pure.
 */
import type { Entry, GroupContext } from "../../machines/group/contract.ts";
import type { GroupView, RunView, StepView } from "../protocol/view.ts";
import type { Group } from "./group.ts";
import type { PartitionCore } from "./partition-core.ts";
import { waitingSince } from "./pressed-groups.ts";
import { shownRate } from "./rate.ts";
import type { Run } from "./run.ts";

/** Of the runs of a group, ids of so many are shown. */
export const SHOWN_RUNS = 100;

/** Everything but the input, where that is not in memory. */
export function runView(core: PartitionCore, run: Run): RunView {
  const description = core.describe(run);
  const { live } = run;
  const steps: Record<string, StepView> = {};
  for (const { name } of run.workflow.spec.steps) {
    const step = description?.steps[name];
    const attempt = live?.attempts.get(name);
    const startedAt = attempt === undefined ? undefined : (attempt.startedAt ?? attempt.assignedAt);
    steps[name] = {
      status: step?.status ?? "BLOCKED",
      attempts: step?.attempts ?? 0,
      ...(step?.output !== undefined && { output: step.output }),
      ...(step?.error !== undefined && { error: step.error }),
      ...(startedAt !== undefined && { startedAt: iso(startedAt) }),
      ...(attempt?.over === true && attempt.finishedAt !== undefined && { finishedAt: iso(attempt.finishedAt) }),
      ...(attempt !== undefined && { worker: attempt.worker }),
    };
  }
  // Not of the attempts: of those of a step only the last one is kept.
  const startedAt = live?.events.find(({ ev }) => ev.type.startsWith("step.started."))?.at;
  const limits = run.workflow.spec.limits;
  const keys =
    run.groups.length > 0
      ? run.groups.map(({ limit, key }) => ({ limit, key }))
      : (run.rest?.keys ?? []).map((key, i) => ({ limit: limits[i]?.name ?? "", key })).filter(({ key }) => key !== ""); // "": not known yet
  return {
    id: run.run,
    workflow: run.workflow.name,
    version: run.workflow.spec.version,
    status: live === undefined ? "QUEUED" : (description?.status ?? "RUNNING"),
    ...(description?.reason !== undefined && { reason: description.reason }),
    input: run.input === undefined ? undefined : (JSON.parse(run.input) as unknown),
    ...(description?.error !== undefined && { error: description.error }),
    keys,
    priority: run.priority,
    metadata: run.rest?.metadata ?? {},
    ...(run.event !== undefined && { event: run.event }),
    createdAt: iso(run.createdAt),
    ...(run.rest?.notBefore !== undefined && { scheduledAt: iso(run.rest.notBefore) }),
    ...(live !== undefined && { admittedAt: iso(live.admittedAt) }),
    ...(startedAt !== undefined && { startedAt: iso(startedAt) }),
    ...(run.rest?.replayOf !== undefined && { replayOf: run.rest.replayOf }),
    steps,
  };
}

/** `shown`: so many ids of runs, of each kind. */
export function groupView(group: Group, nowMs: number, shown = SHOWN_RUNS): GroupView {
  return contextView(group.context, group.startsPerMinute(nowMs), group.settings?.maxRuns !== undefined, shown);
}

export function contextView(context: GroupContext, startsPerMinute: number, overridden = false, shown = SHOWN_RUNS): GroupView {
  const { active, stopping, waiting, held, limit, key, strategy, maxRuns, paused } = context;
  const stoppingRuns = idsOf(stopping, shown);
  let oldest = Infinity;
  for (const entries of [waiting, held]) {
    let looked = 0;
    for (const entry of entries) {
      oldest = Math.min(oldest, waitingSince(entry));
      if (++looked >= Math.max(shown, 1)) break;
    }
  }
  const queued = waiting.size + held.size;
  return {
    limit,
    key,
    strategy,
    maxRuns,
    ...(overridden && { overridden: true }),
    paused,
    active: active.size,
    stopping: stopping.size,
    waiting: queued,
    activeRuns: idsOf(active, shown),
    waitingRuns: [...idsOf(waiting, shown), ...idsOf(held, shown - Math.min(waiting.size, shown))],
    ...(stoppingRuns.length > 0 && { stoppingRuns }),
    ...(oldest !== Infinity && { oldestWaitingAt: iso(oldest) }),
    startsPerMinute: shownRate(startsPerMinute),
    ...(queued > 0 && !paused && shownRate(startsPerMinute) > 0 && { drainSeconds: Math.ceil((60 * queued) / startsPerMinute) }),
  };
}

function idsOf(entries: Iterable<Entry>, max: number): string[] {
  const ids: string[] = [];
  if (max > 0) for (const entry of entries) if (ids.push(entry.run) >= max) break;
  return ids;
}

export function iso(ms: number): string {
  return new Date(ms).toISOString();
}
