/**
 * Carries out the effects of partitions: assignments and stops to workers, changes for whoever listens, runs that go on in
 * another partition. Messages to workers are core NATS messages and may be lost, so what is not answered is sent again.
 */
import type { Logger } from "pino";
import type { Connection } from "../nats/connection.ts";
import type { Names } from "../nats/subjects.ts";
import type { RunChangeMessage } from "../protocol/view.ts";
import type { WorkAnswer, WorkMessage } from "../protocol/work.ts";
import type { Effect } from "./core/batch-builder.ts";
import type { Counters } from "./counters.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { Keyer } from "./keyer.ts";
import type { OwnedPartitions } from "./owned-partitions.ts";
import type { EffectHandler, Partition } from "./partition.ts";
import type { Attempt, Run } from "./run.ts";
import type { ExecutedAttempt } from "./slots/holdings.ts";
import type { Transfers } from "./transfers.ts";

export interface OutboundOptions {
  readonly connection: Connection;
  readonly names: Names;
  readonly dispatcher: Dispatcher;
  readonly keyer: Keyer;
  readonly partitions: OwnedPartitions;
  readonly transfers: Pick<Transfers, "handOver">;
  readonly committed: (partition: Partition, seq: number, text: string) => void;
  readonly counters: Counters;
  readonly logger: Logger;
}

interface PendingAssignment {
  readonly attempt: Attempt;
  readonly json: string;
}

interface PendingStop {
  readonly run: Run;
  readonly attempt: Attempt;
  readonly partition: number;
  readonly reason: string;
}

/** How long a worker may take to answer that it has an assignment. */
const ANSWER_MS = 2_000;
const REPEAT_MS = 1_000;
const MARGIN_BYTES = 16_384;
const OVER_GRACE_MS = 5_000;
/** Larger inputs are loaded by the worker, so that they and the outputs fit into one message together. */
const CARRIED_INPUT_CHARS = 16_384;

export class Outbound implements EffectHandler {
  readonly #options: OutboundOptions;
  readonly #assignments = new Map<string, PendingAssignment[]>();
  readonly #stops = new Map<string, PendingStop>();
  readonly #newStops = new Map<string, PendingStop[]>();
  readonly #committed: { readonly partition: Partition; readonly seq: number; readonly text: string }[] = [];
  #repeater: NodeJS.Timeout | undefined = undefined;
  #stopped = false;

  constructor(options: OutboundOptions) {
    this.#options = options;
  }

  stop(): void {
    this.#stopped = true;
    this.#tellCommitted();
    clearTimeout(this.#repeater);
  }

  handle(partition: Partition, effect: Effect): void {
    const { connection, names, keyer, partitions, transfers, counters } = this.#options;
    switch (effect.type) {
      case "assign":
        this.#collect(this.#assignments, effect.attempt.worker, {
          attempt: effect.attempt,
          json: assignmentJson(partition, effect.run, effect.attempt, names, partitions.epochOf(partition.number)),
        });
        return;
      case "stop": {
        const stop = { run: effect.run, attempt: effect.attempt, partition: partition.number, reason: effect.reason };
        this.#stops.set(effect.attempt.id, stop);
        this.#collect(this.#newStops, effect.attempt.worker, stop);
        return;
      }
      case "change": {
        const { run, message } = effect;
        counters.change(run.workflow.name, message.change);
        if (message.change === "started") counters.started(run.rest?.notBefore ?? run.createdAt, Date.now());
        let text = changeJson(message);
        // Large outputs are asked for instead.
        if (text.length * 3 > connection.maxPayload) text = JSON.stringify({ ...message, outputs: undefined });
        connection.addText(names.runChange(run.workflow.name, run.run, message.change), text);
        return;
      }
      case "handover": {
        const { to, n, creation } = effect;
        transfers.handOver(partition, to, n, creation);
        return;
      }
      case "keys":
        keyer.want(partition, effect.workflow);
        return;
      case "call":
        effect.call();
    }
  }

  flush(): void {
    this.#options.connection.flushTexts();
    for (const [worker, assignments] of this.#assignments) {
      this.#assignments.delete(worker);
      this.#assign(worker, assignments);
    }
    for (const [worker, stops] of this.#newStops) {
      this.#newStops.delete(worker);
      this.#sendStops(worker, stops);
    }
    if (this.#stops.size > 0) this.#repeater ??= setTimeout(() => this.#repeat(), REPEAT_MS);
  }

  /** Told on a little later: handing it to the history's thread takes time, and a worker waits for what is sent first. */
  committed(partition: Partition, seq: number, text: string): void {
    if (this.#committed.push({ partition, seq, text }) === 1) setImmediate(() => this.#tellCommitted());
  }

  #tellCommitted(): void {
    for (const { partition, seq, text } of this.#committed.splice(0)) this.#options.committed(partition, seq, text);
  }

  #collect<T>(into: Map<string, T[]>, worker: string, item: T): void {
    const list = into.get(worker);
    if (list === undefined) into.set(worker, [item]);
    else list.push(item);
  }

  #assign(worker: string, assignments: readonly PendingAssignment[]): void {
    const max = this.#options.connection.maxPayload - MARGIN_BYTES;
    let part: PendingAssignment[] = [];
    let bytes = 0;
    for (const assignment of assignments) {
      const size = Buffer.byteLength(assignment.json);
      if (bytes + size > max && part.length > 0) {
        void this.#send(worker, part);
        part = [];
        bytes = 0;
      }
      part.push(assignment);
      bytes += size + 1;
    }
    void this.#send(worker, part);
  }

  /** Until the worker answers, or the attempts are no longer its. */
  async #send(worker: string, assignments: readonly PendingAssignment[]): Promise<void> {
    const { connection, names, dispatcher, logger } = this.#options;
    for (let open = assignments; open.length > 0 && !this.#stopped;) {
      try {
        const text = `{"type":"assign","assignments":[${open.map(({ json }) => json).join(",")}]}`;
        const reply = await connection.request(names.work(worker), text, { timeoutMs: ANSWER_MS });
        const answer = reply.json<WorkAnswer>();
        dispatcher.answered(worker, answer.refused ?? []);
        return;
      } catch (error) {
        if (this.#stopped || connection.isClosed) return;
        logger.debug({ err: error, worker, attempts: open.length }, "a worker did not answer an assignment; sending it again");
        await new Promise((resolve) => setTimeout(resolve, REPEAT_MS / 2));
        open = open.filter(({ attempt }) => !attempt.over && dispatcher.holds(worker, attempt.id));
      }
    }
  }

  #sendStops(worker: string, stops: readonly PendingStop[]): void {
    const attempts = stops.map(({ run, attempt, partition, reason }) => ({
      attemptId: attempt.id,
      partition,
      run: run.run,
      step: attempt.step,
      reason,
      graceMs: run.workflow.spec.graceMs,
    }));
    this.#publishStops(worker, attempts);
  }

  /** Stops attempts that are over, but that the worker executes still. */
  stopOver(worker: string, executed: readonly ExecutedAttempt[]): void {
    this.#options.logger.info(
      { worker, attempts: executed.length },
      "a worker executes steps that are over; it is told to stop them",
    );
    const attempts = executed.map(({ id, partition }) => {
      const [run = "", step = ""] = id.split(".");
      return { attemptId: id, partition, run, step, reason: "ATTEMPT_OVER", graceMs: OVER_GRACE_MS };
    });
    this.#publishStops(worker, attempts);
  }

  #publishStops(worker: string, stops: Extract<WorkMessage, { readonly type: "stop" }>["attempts"]): void {
    const { connection, names, partitions } = this.#options;
    const attempts = stops.map((stop) => ({ ...stop, epoch: partitions.epochOf(stop.partition) }));
    connection.publish(names.work(worker), JSON.stringify({ type: "stop", attempts }));
  }

  /** The partition has left this node: its new owner goes on with its stops. */
  drop(number: number): void {
    for (const [id, { partition }] of this.#stops) if (partition === number) this.#stops.delete(id);
    for (const [worker, stops] of this.#newStops) {
      const others = stops.filter(({ partition }) => partition !== number);
      if (others.length > 0) this.#newStops.set(worker, others);
      else this.#newStops.delete(worker);
    }
  }

  #repeat(): void {
    this.#repeater = undefined;
    for (const [id, stop] of this.#stops) {
      if (stop.attempt.over) this.#stops.delete(id);
      else this.#collect(this.#newStops, stop.attempt.worker, stop);
    }
    if (!this.#stopped) this.flush();
  }
}

/** As JSON.stringify would; several for every run, so by hand. Ids, names and codes need no escaping: they are subject tokens and constants. */
function changeJson({
  id,
  workflow,
  change,
  at,
  status,
  reason,
  step,
  stepStatus,
  attempt,
  outputs,
  error,
}: RunChangeMessage): string {
  let json = `{"id":"${id}","workflow":"${workflow}","change":"${change}","at":"${at}","status":"${status}"`;
  if (reason !== undefined) json += `,"reason":${JSON.stringify(reason)}`;
  if (step !== undefined) json += `,"step":"${step}"`;
  if (stepStatus !== undefined) json += `,"stepStatus":"${stepStatus}"`;
  if (attempt !== undefined) json += `,"attempt":${attempt}`;
  if (outputs !== undefined) json += `,"outputs":${JSON.stringify(outputs)}`;
  if (error !== undefined) json += `,"error":${JSON.stringify(error)}`;
  return `${json}}`;
}

/** The payload of a run as JSON members, each with a comma before it. */
export function payloadJson(run: Run, names: Pick<Names, "eventsStream">): string {
  let json = "";
  const { event } = run;
  const ref = run.ref ?? (event === undefined ? undefined : { stream: names.eventsStream, seq: event.seq });
  if (run.input !== undefined && (run.input.length <= CARRIED_INPUT_CHARS || ref === undefined)) json += `,"input":${run.input}`;
  else if (ref !== undefined) json += `,"inputRef":${JSON.stringify(ref)}`;
  if (run.rest?.metadata !== undefined) json += `,"metadata":${JSON.stringify(run.rest.metadata)}`;
  if (event !== undefined) json += `,"event":{"name":${JSON.stringify(event.name)},"seq":${event.seq}}`;
  if (run.rest?.traceparent !== undefined) json += `,"traceparent":${JSON.stringify(run.rest.traceparent)}`;
  return json;
}

/** The `Assignment` of an attempt. `epoch`: of the partition's ownership; undefined where it is not owned any more. */
export function assignmentJson(
  partition: Partition,
  run: Run,
  attempt: Attempt,
  names: Pick<Names, "eventsStream">,
  epoch = 0,
): string {
  const { spec } = run.workflow;
  const ancestors = run.workflow.ancestors[attempt.step] ?? [];
  const outputs: Record<string, unknown> = {};
  if (ancestors.length > 0) {
    const steps = (
      run.live?.snapshot.context as
        | { readonly steps?: Readonly<Record<string, { readonly output?: unknown } | undefined>> }
        | undefined
    )?.steps;
    for (const step of ancestors) outputs[step] = steps?.[step]?.output ?? null;
  }
  // Ids and the names of limits, workflows and steps need no escaping: their characters are those of subject tokens.
  const keys = run.groups.map(({ limit, key }) => `{"limit":"${limit}","key":${JSON.stringify(key)}}`);
  return `{"attemptId":"${attempt.id}","partition":${partition.number},"epoch":${epoch},"run":"${run.run}","workflow":"${spec.name}","version":${JSON.stringify(spec.version)},"step":"${attempt.step}","attempt":${attempt.number},"outputs":${
    ancestors.length === 0 ? "{}" : JSON.stringify(outputs)
  },"keys":[${keys.join(",")}]${payloadJson(run, names)}}`;
}
