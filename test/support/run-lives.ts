/** Lives of runs for tests of the run page: facts as the engine writes them, recorded as the history records them. */
import { compileRunMachine } from "../../machines/run/compile.ts";
import { recordedMachine, recordOf } from "../../src/history/run-record.ts";
import type { StoredFact } from "../../src/history/stored-facts.ts";
import type { RunRecord } from "../../src/protocol/record.ts";
import { Strategy, type StepSpec, type WorkflowSpec } from "../../src/workflow/spec.ts";

export const START = Date.parse("2026-11-23T12:00:00.000Z");

export function stepOf(name: string, after: readonly string[] = [], more: Partial<StepSpec> = {}): StepSpec {
  return { name, after, retries: 0, backoff: { factor: 2, minMs: 500, maxMs: 500 }, scheduleTimeoutMs: 300_000, ...more };
}

export function workflowOf(steps: readonly StepSpec[], more: Partial<WorkflowSpec> = {}): WorkflowSpec {
  const limits = [
    { name: "answer", key: { kind: "cel", source: "input.user_id" }, maxRuns: 1, strategy: Strategy.GROUP_ROUND_ROBIN },
  ];
  return {
    name: "answer",
    version: "v1",
    on: [],
    cron: [],
    steps,
    limits,
    onStepFailure: "cancel",
    graceMs: 5_000,
    ...more,
  } as unknown as WorkflowSpec;
}

/** `at` in ms after START. */
export type Happened = readonly [at: number, fact: Record<string, unknown> & { readonly k: string }];

export function recordWith(
  spec: WorkflowSpec,
  happened: readonly Happened[],
  options: { known?: boolean; maxFrames?: number } = {},
): RunRecord {
  const facts = happened.map(([at, fact]) => ({ at: START + at, ...fact })) as unknown as StoredFact[];
  const { known = true, maxFrames } = options;
  const record = recordOf([{ partition: 0, facts }], {
    id: "run-1",
    spec: known ? spec : undefined,
    machine: known ? recordedMachine(spec) : undefined,
    ...(maxFrames !== undefined && { maxFrames }),
  });
  if (record === undefined) throw new Error("the facts give no record");
  return record;
}

export const event = (at: number, type: string, data: Record<string, unknown> = {}): Happened => [
  at,
  { k: "event", ev: { type, ...data } },
];

export const started = (at: number, step: string, worker = "w-1"): Happened =>
  event(at, `step.started.${step}`, { worker, attemptId: `${step}.${at}` });

export const DIAMOND = workflowOf([
  stepOf("fetch"),
  stepOf("rank", ["fetch"], { retries: 2 }),
  stepOf("embed", ["fetch"]),
  stepOf("write", ["rank", "embed"]),
]);

/** A diamond of four steps: it waits 400 ms for its slot, and "rank" needs a second attempt. */
export function diamondRecord(): RunRecord {
  return recordWith(DIAMOND, [
    [
      0,
      {
        k: "created",
        wf: "answer",
        ver: "v1",
        phase: "waiting",
        keys: ["ada"],
        input: { user_id: "ada" },
        ev: { name: "message.sent", seq: 7 },
      },
    ],
    [400, { k: "admitted" }],
    started(401, "fetch"),
    event(600, "xstate.done.actor.fetch", { output: { documents: 3 } }),
    started(602, "rank"),
    started(603, "embed", "w-2"),
    event(700, "xstate.error.actor.rank", { error: { name: "Error", message: "the model is busy" } }),
    event(900, "xstate.done.actor.embed", { output: [1, 2] }),
    event(1_200, "xstate.after.backoff.rank.run.running.rank.backoff"),
    started(1_201, "rank"),
    event(1_500, "xstate.done.actor.rank", { output: ["a", "b"] }),
    started(1_502, "write"),
    event(2_000, "xstate.done.actor.write", { output: { text: "hello" } }),
    [2_000, { k: "finished", status: "SUCCEEDED" }],
  ]);
}

/** A chat answer that a newer message cancels; its worker confirms 80 ms later. */
export function cancelledRecord(): RunRecord {
  return recordWith(workflowOf([stepOf("retrieve"), stepOf("write", ["retrieve"])]), [
    [0, { k: "created", wf: "answer", ver: "v1", phase: "active", keys: ["ada"], input: {} }],
    started(2, "retrieve"),
    event(100, "xstate.done.actor.retrieve", { output: {} }),
    started(101, "write"),
    event(900, "run.cancelled", { reason: "CANCELLED_BY_CONCURRENCY_LIMIT", cause: "superseded", by: "run-2" }),
    event(980, "step.stopped.write"),
    [980, { k: "finished", status: "CANCELLED", reason: "CANCELLED_BY_CONCURRENCY_LIMIT", cause: "superseded", by: "run-2" }],
  ]);
}

/** One step, retried without end: `frames` of a life. */
export function longRecord(frames: number): RunRecord {
  const spec = workflowOf([stepOf("poll", [], { retries: 1_000_000, backoff: { factor: 1, minMs: 10, maxMs: 10 } })]);
  const facts: Happened[] = [[0, { k: "created", wf: "answer", ver: "v1", phase: "active", keys: ["ada"], input: {} }]];
  for (let at = 1; facts.length < frames - 1; at += 10) {
    facts.push(started(at, "poll"));
    facts.push(event(at + 4, "xstate.error.actor.poll", { error: { name: "Error", message: "not yet" } }));
    facts.push(event(at + 8, "xstate.after.backoff.poll.run.running.poll.backoff"));
  }
  return recordWith(spec, facts);
}

/** Of all machines of these lives; for tests that need the machine itself. */
export const diamondMachine = () => compileRunMachine(DIAMOND);
