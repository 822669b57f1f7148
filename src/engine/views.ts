/**
 * Runs and groups as the API shows them, from the state of their owner. Pure.
 */
import type { GroupView, RunView, StepView } from "../protocol/view.ts";
import type { Group } from "./group.ts";
import type { PartitionCore } from "./partition-core.ts";
import type { Run } from "./run.ts";

const SHOWN_RUNS = 100;

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
  const starts = [...(live?.attempts.values() ?? [])].map((attempt) => attempt.startedAt ?? attempt.assignedAt);
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
    ...(starts.length > 0 && { startedAt: iso(Math.min(...starts)) }),
    ...(run.rest?.replayOf !== undefined && { replayOf: run.rest.replayOf }),
    steps,
  };
}

export function groupView(group: Group): GroupView {
  const { active, stopping, waiting, held, limit, key, strategy, maxRuns, paused } = group.context;
  const activeRuns: string[] = [];
  for (const entry of active) if (activeRuns.push(entry.run) >= SHOWN_RUNS) break;
  const stoppingRuns: string[] = [];
  for (const entry of stopping) if (stoppingRuns.push(entry.run) >= SHOWN_RUNS) break;
  const waitingRuns: string[] = [];
  let oldest: number | undefined;
  for (const entries of [waiting, held])
    for (const entry of entries) {
      if (waitingRuns.length >= SHOWN_RUNS) break;
      waitingRuns.push(entry.run);
      const { createdAt } = entry as Run;
      if (oldest === undefined || createdAt < oldest) oldest = createdAt;
    }
  return {
    limit,
    key,
    strategy,
    maxRuns,
    ...(group.settings?.maxRuns !== undefined && { overridden: true }),
    paused,
    active: active.size,
    stopping: stopping.size,
    waiting: waiting.size + held.size,
    activeRuns,
    waitingRuns,
    ...(stoppingRuns.length > 0 && { stoppingRuns }),
    ...(oldest !== undefined && { oldestWaitingAt: iso(oldest) }),
    startsPerMinute: 0,
  };
}

export function iso(ms: number): string {
  return new Date(ms).toISOString();
}
