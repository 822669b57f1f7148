/** Journals for tests of the history: lives of runs as facts, in one partition after the other, cut into batches. */
import fc from "fast-check";
import { encodeBatch, type Fact, type Phase } from "../../src/engine/facts.ts";
import type { FromWorker, Requests, RequestName, ToWorker } from "../../src/history/messages.ts";
import { Projector } from "../../src/history/projector.ts";
import type { RunRow } from "../../src/history/run-fold.ts";
import type { Page, RunListQuery } from "../../src/protocol/view.ts";
import { DEFAULT_REDACT } from "../../src/protocol/redact.ts";
import type { WorkflowSpec } from "../../src/workflow/spec.ts";

export const PARTITIONS = 3;
export const EVENTS_STREAM = "SLUICE_EVENTS";
/** Times of facts are near this. */
export const T0 = Date.UTC(2026, 0, 1);

export const step = (name: string, after: string[] = []): WorkflowSpec["steps"][number] => ({
  name,
  after,
  retries: 1,
  backoff: { factor: 2, minMs: 10, maxMs: 100 },
  scheduleTimeoutMs: 60_000,
});

export function workflow(name: string, limits: readonly string[], steps = [step("a"), step("b", ["a"])]): WorkflowSpec {
  return {
    name,
    version: "v1",
    on: [],
    cron: [],
    steps,
    limits: limits.map((limit) => ({
      name: limit,
      key: { kind: "cel", expression: "input.key" },
      maxRuns: 1,
      strategy: "GROUP_ROUND_ROBIN",
    })),
    onStepFailure: "cancel",
    graceMs: 5_000,
  };
}

export const WORKFLOWS = [workflow("free", []), workflow("user", ["user"]), workflow("both", ["user", "tenant"])];

export interface Batch {
  readonly partition: number;
  readonly seq: number;
  readonly previous: number;
  readonly facts: readonly Fact[];
  readonly text: string;
}

/** Facts of one run, in the order of its life, with the partition of each. */
export type Life = readonly { readonly partition: number; readonly fact: Fact }[];

/** The beginning of a run, what it did, and perhaps its end. */
export const life = (run: string, index: number): fc.Arbitrary<Life> =>
  fc
    .record({
      spec: fc.constantFrom(...WORKFLOWS),
      at: fc.integer({ min: 0, max: 50 }),
      scheduled: fc.boolean(),
      path: fc.array(fc.nat(PARTITIONS - 1), { minLength: 1, maxLength: 3 }),
      waits: fc.boolean(),
      key: fc.constantFrom("u1", "u2", "ü\u0000"),
      input: fc.constantFrom<readonly [string, unknown]>(
        ["inline", { text: "hello" }],
        ["null", null],
        ["ref", undefined],
        ["event", undefined],
      ),
      happened: fc.subarray(["start", "done", "start-b", "fail-b", "cancel"] as const),
      end: fc.constantFrom(undefined, "SUCCEEDED" as const, "FAILED" as const, "CANCELLED" as const),
      gap: fc.nat(3),
    })
    .map((given) => {
      const facts: { partition: number; fact: Fact }[] = [];
      let now = T0 + given.at;
      const created = now;
      // Nobody moves to where it is already.
      const path = given.path.filter((partition, place) => partition !== given.path[place - 1]);
      const keys = given.spec.limits.map(() => given.key);
      const push = (partition: number, fact: (at: number) => Fact): void => {
        facts.push({ partition, fact: fact(now) });
        now += given.gap;
      };
      const creation =
        (phase: Phase, withKeys: boolean) =>
        (at: number): Fact => ({
          k: "created",
          at,
          run,
          wf: given.spec.name,
          ver: given.spec.version,
          phase,
          ...(index % 2 === 1 && { pri: index }),
          ...(withKeys && keys.length > 0 && { keys }),
          ...(given.input[0] === "ref" && { ref: { stream: "SLUICE_P0", seq: 40 + index } }),
          ...((given.input[0] === "event" || given.input[0] === "inline") && { ev: { name: "e", seq: 1_000 + (index >> 1) } }),
          ...(given.scheduled && { due: T0 + 1_000 }),
          ...(created !== at && { born: created }),
          ...(given.input[0] === "inline" || given.input[0] === "null" ? { input: given.input[1] } : {}),
        });
      for (const [place, partition] of path.entries()) {
        const first = place === 0;
        const next = path[place + 1];
        if (first && given.scheduled) push(partition, creation("scheduled", false));
        if (next !== undefined) {
          if (!(first && given.scheduled)) push(partition, creation("keying", false));
          push(partition, (at) => ({ k: "moved", at, run, to: next, n: index, keys }));
          continue;
        }
        const phase: Phase = given.waits ? "waiting" : "active";
        if (first && given.scheduled) push(partition, (at) => ({ k: "phase", at, run, phase, keys }));
        else push(partition, creation(phase, true));
        if (given.waits && given.happened.length > 0) push(partition, (at) => ({ k: "admitted", at, run }));
        for (const what of given.happened) push(partition, (at) => ({ k: "event", at, run, ev: happening(what, run, at) }));
        const { end } = given;
        if (end !== undefined)
          push(partition, (at) => ({
            k: "finished",
            at,
            run,
            status: end,
            ...(end !== "SUCCEEDED" && { reason: "SOME_REASON" }),
          }));
      }
      return facts;
    });

function happening(what: string, run: string, at: number): { type: string; [field: string]: unknown } {
  switch (what) {
    case "start":
      return { type: "step.started.a", worker: "w1", attemptId: `${run}.a.1`, attempt: 1 };
    case "done":
      return { type: "xstate.done.actor.a", output: { big: "x".repeat(50) }, startedAt: at - 1, finishedAt: at };
    case "start-b":
      return { type: "step.started.b", worker: "w2", attemptId: `${run}.b.2`, attempt: 1 };
    case "fail-b":
      return { type: "xstate.error.actor.b", error: { name: "Error", message: "no" } };
    default:
      return { type: "run.cancelled", reason: "CANCELLED_BY_USER" };
  }
}

export const lives = (max: number): fc.Arbitrary<readonly Life[]> =>
  fc
    .integer({ min: 1, max })
    .chain((count) => fc.tuple(...Array.from({ length: count }, (_, index) => life(`run-${index}`, index))));

/** One journal per partition: the lives shuffled into each other, in their own order, and cut by `cuts`. */
export function journalsOf(all: readonly Life[], cuts: readonly number[]): Batch[][] {
  const journals: Batch[][] = Array.from({ length: PARTITIONS }, () => []);
  const left = all.map((one) => [...one]);
  let draw = 0;
  const next = (): number => cuts[draw++ % cuts.length] ?? 0;
  const open: Fact[][] = Array.from({ length: PARTITIONS }, () => []);
  const close = (partition: number): void => {
    const facts = open[partition] ?? [];
    open[partition] = [];
    const journal = journals[partition] ?? [];
    const previous = journal.at(-1)?.seq ?? 0;
    if (facts.length > 0)
      journal.push({
        partition,
        previous,
        seq: previous + 1 + (next() % 3),
        facts,
        text: encodeBatch(
          1,
          undefined,
          facts.map((fact) => JSON.stringify(fact)),
        ),
      });
  };
  for (let some = left.filter((one) => one.length > 0); some.length > 0; some = left.filter((one) => one.length > 0)) {
    const taken = some[next() % some.length]?.shift();
    if (taken === undefined) break;
    open[taken.partition]?.push(taken.fact);
    if (next() % 3 === 0) close(taken.partition);
  }
  for (let partition = 0; partition < PARTITIONS; partition++) close(partition);
  return journals;
}

/** The order in which batches of several journals are read: each journal in its own order. */
export function interleave(journals: readonly (readonly Batch[])[], picks: readonly number[]): Batch[] {
  const left = journals.map((journal) => [...journal]);
  const order: Batch[] = [];
  for (let turn = 0; ; turn++) {
    const some = left.filter((journal) => journal.length > 0);
    const batch = some[(picks[turn % picks.length] ?? 0) % Math.max(some.length, 1)]?.shift();
    if (batch === undefined) return order;
    order.push(batch);
  }
}

/** A projector in this thread, with answers as promises. */
export class DirectProjector {
  readonly messages: FromWorker[] = [];
  readonly #projector: Projector;
  readonly #waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  #requests = 0;

  constructor(file: string) {
    const options = {
      file,
      cluster: "",
      eventsStream: EVENTS_STREAM,
      redact: DEFAULT_REDACT,
      commitMs: 60_000,
      commitChars: 1_000,
      checkpointMs: 60_000,
    };
    this.#projector = new Projector(options, (message) => {
      this.messages.push(message);
      if (message.type === "reply") this.#waiting.get(message.id)?.resolve(message.value as never);
      if (message.type === "refusal") this.#waiting.get(message.id)?.reject(new Error(`${message.code}: ${message.message}`));
    });
    this.#projector.open();
    for (const spec of WORKFLOWS) this.post({ type: "define", spec });
  }

  /** What the file had when it was opened. */
  get positions(): ReadonlyMap<number, number> {
    const [opened] = this.messages;
    if (opened?.type !== "opened") throw new Error(`expected the file to be opened, got ${JSON.stringify(opened)}`);
    return opened.positions;
  }

  post(message: ToWorker): void {
    this.#projector.receive(message);
  }

  batch({ partition, seq, text }: Batch): void {
    this.post({ type: "batch", partition, seq, text });
  }

  request<Name extends RequestName>(name: Name, args: Requests[Name]["args"]): Promise<Requests[Name]["reply"]> {
    const id = ++this.#requests;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.post({ type: "request", id, request: { name, args } as never });
    });
  }

  async list(query: RunListQuery): Promise<Page<RunRow>> {
    return JSON.parse(await this.request("list", query)) as Page<RunRow>;
  }

  /** What was posted until now has been dealt with. */
  async settled(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
  }

  async close(): Promise<void> {
    this.post({ type: "close" });
    await this.settled();
  }
}
