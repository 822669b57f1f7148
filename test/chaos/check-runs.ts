/** Each run for itself: it was asked for, exactly once; it ended, as its workflow's strategies and its handlers allow; each step has one result. */
import { MAX_LOSSES } from "../../machines/run/compile.ts";
import type { History, Violation, WorkflowRules } from "./history.ts";
import type { RunLife } from "./run-lives.ts";

const QUEUE_STRATEGIES: readonly string[] = ["CANCEL_QUEUED_EXCEPT_NEWEST", "CANCEL_QUEUED_EXCEPT_OLDEST"];

export function checkRuns(history: History, lives: ReadonlyMap<string, RunLife>): Violation[] {
  return [
    ...checkEvents(history, lives),
    ...checkEnds(history, lives),
    ...checkSteps(history, lives),
    ...checkOrder(history, lives),
  ];
}

/** Every acknowledged event has one run of each workflow that it matches; every accepted call has its run; nothing else has one. */
function checkEvents({ workflows, acknowledged, unsure, accepted }: History, lives: ReadonlyMap<string, RunLife>): Violation[] {
  const violations: Violation[] = [];
  const said = (text: string, run?: string): void => {
    violations.push({ rule: "event-has-its-runs", text, ...(run !== undefined && { run }) });
  };
  const byEvent = new Map<string, RunLife[]>();
  for (const life of lives.values()) {
    if (life.eventSeq === undefined) continue;
    const id = `${life.eventSeq} ${life.workflow}`;
    byEvent.set(id, [...(byEvent.get(id) ?? []), life]);
  }
  const known = new Set<string>();
  for (const { n, event, seq } of acknowledged)
    for (const { name, on } of workflows) {
      if (!on.includes(event)) continue;
      const found = byEvent.get(`${seq} ${name}`) ?? [];
      for (const { run } of found) known.add(run);
      if (found.length === 0) said(`event ${n} (${event}, sequence ${seq}) has no run of ${name}`);
      if (found.length > 1)
        said(
          `event ${n} (${event}, sequence ${seq}) has ${found.length} runs of ${name}: ${found.map(({ run }) => run).join(", ")}`,
        );
    }
  for (const { n, workflow, run } of accepted) {
    known.add(run);
    if (!lives.has(run)) said(`run ${run} of ${workflow} was accepted (number ${n}), and the journals do not know it`, run);
  }
  const runsOfUnsure = new Map<string, string>();
  for (const life of lives.values()) {
    if (known.has(life.run)) continue;
    if (life.n === undefined || !unsure.has(life.n))
      said(`run ${life.run} of ${life.workflow} (number ${life.n}) belongs to nothing that was acknowledged`, life.run);
    else {
      const id = `${life.n} ${life.workflow}`;
      const other = runsOfUnsure.get(id);
      if (other !== undefined && life.eventSeq !== undefined)
        said(`number ${life.n} has two runs of ${life.workflow}: ${other} and ${life.run}`, life.run);
      runsOfUnsure.set(id, life.run);
    }
  }
  return violations;
}

function checkEnds({ workflows, doomed, cancelRequested, answers }: History, lives: ReadonlyMap<string, RunLife>): Violation[] {
  const violations: Violation[] = [];
  const rules = new Map(workflows.map((workflow) => [workflow.name, workflow]));
  const answerOf = new Map(answers.map((answer) => [answer.id, answer]));
  for (const life of lives.values()) {
    const { run, workflow, status, reason, n } = life;
    const whose = `run ${run} of ${workflow} (number ${n})`;
    const said = (rule: Violation["rule"], text: string): void => {
      violations.push({ rule, run, text: `${whose} ${text}` });
    };
    if (life.ends === 0) {
      said(
        "run-ended",
        `has not ended; it came as ${life.phases.join(", ")}${life.admittedAt === undefined ? "" : " and was admitted"}`,
      );
      continue;
    }
    if (life.ends > 1) said("run-ended", `has ended ${life.ends} times`);
    const problem = illegal(life, rules.get(workflow), n !== undefined && doomed.has(n), cancelRequested.has(run));
    if (problem !== undefined) said("end-is-legal", `ended as ${status}${reason === undefined ? "" : ` ${reason}`}: ${problem}`);
    const answer = answerOf.get(run);
    if (answer === undefined) said("api-agrees", `ended as ${status}, and the API does not list it`);
    else if (answer.status !== status || answer.reason !== reason)
      said("api-agrees", `ended as ${status} ${reason ?? ""}, and the API says ${answer.status} ${answer.reason ?? ""}`);
  }
  return violations;
}

/** What speaks against this end of a run; undefined when nothing does. */
function illegal(life: RunLife, rules: WorkflowRules | undefined, doomed: boolean, cancelRequested: boolean): string | undefined {
  const { status, reason } = life;
  if (rules === undefined) return "nobody knows its workflow";
  if (status === "SUCCEEDED") {
    if (doomed) return "its handlers throw always";
    return reason === undefined ? undefined : "who succeeds has no reason to give";
  }
  if (status === "FAILED" && reason === "WORKER_LOST")
    return mostLosses(life) >= MAX_LOSSES ? undefined : `no step of it was lost with its worker ${MAX_LOSSES} times`;
  if (status === "FAILED") return reason === "STEP_FAILED" && doomed ? undefined : "its handlers throw nothing for good";
  if (status !== "CANCELLED") return "that is no end";
  if (reason === "CANCELLED_BY_USER") return cancelRequested ? undefined : "nobody has asked for it";
  if (reason !== "CANCELLED_BY_CONCURRENCY_LIMIT") return "no such reason is possible here";
  const strategies = rules.limits.map(({ strategy }) => strategy as string);
  if (strategies.every((strategy) => strategy === "GROUP_ROUND_ROBIN"))
    return "nothing is cancelled where all wait for their turns";
  if (strategies.includes("CANCEL_IN_PROGRESS") || life.admittedAt === undefined) return undefined;
  return strategies.some((strategy) => QUEUE_STRATEGIES.includes(strategy))
    ? "only what waits may be cancelled, and it was active"
    : "only newcomers may be cancelled, and it was active";
}

/** How often the same step was lost with its worker. */
function mostLosses({ attempts }: RunLife): number {
  const losses = new Map<string, number>();
  for (const { step, how } of attempts.values())
    if (how === "lost" || how === "stopped") losses.set(step, (losses.get(step) ?? 0) + 1);
  return Math.max(0, ...losses.values());
}

/** One result per step, and it is what a handler returned; a run that succeeded has one of every step. */
function checkSteps({ workflows, records }: History, lives: ReadonlyMap<string, RunLife>): Violation[] {
  const violations: Violation[] = [];
  const stepsOf = new Map(workflows.map(({ name, steps }) => [name, steps]));
  const returned = new Set(
    records.filter(({ what, outcome }) => what === "end" && outcome === "returned").map(({ attemptId }) => attemptId),
  );
  for (const life of lives.values()) {
    const { run, workflow, status } = life;
    for (const [step, results] of life.results) {
      if (results.length > 1)
        violations.push({
          rule: "one-result-per-step",
          run,
          text: `run ${run} of ${workflow} has ${results.length} results of step ${step}`,
        });
      for (const { output } of results) {
        const { attemptId } = (output ?? {}) as { readonly attemptId?: string };
        if (attemptId === undefined || !returned.has(attemptId))
          violations.push({
            rule: "one-result-per-step",
            run,
            text: `run ${run} of ${workflow} has a result of step ${step} that no handler returned: ${JSON.stringify(output)}`,
          });
      }
    }
    if (status !== "SUCCEEDED") continue;
    for (const step of stepsOf.get(workflow) ?? [])
      if ((life.results.get(step)?.length ?? 0) === 0)
        violations.push({ rule: "step-lost", run, text: `run ${run} of ${workflow} succeeded without a result of step ${step}` });
  }
  return violations;
}

/** Runs of one workflow, keys and priority are admitted in the order of their events. */
function checkOrder({ workflows }: History, lives: ReadonlyMap<string, RunLife>): Violation[] {
  const violations: Violation[] = [];
  const limited = new Set(workflows.filter(({ limits }) => limits.length > 0).map(({ name }) => name));
  const lanes = new Map<string, RunLife[]>();
  for (const life of lives.values()) {
    if (!limited.has(life.workflow) || life.eventSeq === undefined || life.admittedAt === undefined) continue;
    const lane = `${life.workflow} ${life.keys.join(" ")} ${life.priority}`;
    lanes.set(lane, [...(lanes.get(lane) ?? []), life]);
  }
  for (const lives of lanes.values()) {
    let latest: RunLife | undefined;
    for (const life of lives.sort((a, b) => (a.eventSeq ?? 0) - (b.eventSeq ?? 0))) {
      if (latest !== undefined && (life.admittedAt ?? 0) < (latest.admittedAt ?? 0))
        violations.push({
          rule: "order",
          run: life.run,
          text: `run ${life.run} of ${life.workflow} (${life.keys.join(", ")}; event ${life.eventSeq}) was admitted before run ${latest.run} of event ${latest.eventSeq}, by ${((latest.admittedAt ?? 0) - (life.admittedAt ?? 0)).toFixed(0)} ms`,
        });
      else latest = life;
    }
  }
  return violations;
}
