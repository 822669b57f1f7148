/**
 * What has become true since the last journal message, and what is to be done once the journal has it. It only collects: what a fact
 * means is known to those who record it, and to recovery.
 */
import type { RunChangeMessage } from "../../protocol/view.ts";
import { comparePositions, type Fact, type MachineEvent, type Phase, type Position } from "../facts.ts";
import type { Attempt, Creation, Run } from "../run.ts";
import type { CompiledWorkflow } from "../workflows.ts";
import type { PartitionState } from "./partition-state.ts";
import { createdText } from "./run-facts.ts";

/** What is to be done once the journal has the batch, in order. */
export type Effect =
  | { readonly type: "assign"; readonly run: Run; readonly attempt: Attempt }
  | { readonly type: "stop"; readonly run: Run; readonly attempt: Attempt; readonly reason: string }
  | { readonly type: "change"; readonly run: Run; readonly message: RunChangeMessage }
  | { readonly type: "handover"; readonly to: number; readonly n: number; readonly creation: Creation }
  /** Runs of this workflow wait for a worker to compute their keys. */
  | { readonly type: "keys"; readonly workflow: CompiledWorkflow }
  /** Someone waits for the batch to be durable. */
  | { readonly type: "call"; readonly call: () => void };

/** Everything since the last `take`. */
export interface PendingBatch {
  readonly facts: readonly string[];
  readonly effects: readonly Effect[];
  readonly sources: Readonly<Record<string, Position>> | undefined;
  readonly inboxSeq: number;
}

export class BatchBuilder {
  readonly #state: PartitionState;
  #facts: string[] = [];
  #factChars = 0;
  #effects: Effect[] = [];
  #changedSources: Record<string, Position> | undefined = undefined;
  #inboxMoved = false;

  constructor(state: PartitionState) {
    this.#state = state;
  }

  /** Characters of JSON that the pending facts have so far. */
  get chars(): number {
    return this.#factChars;
  }

  get pending(): boolean {
    return this.#effects.length > 0 || this.dirty;
  }

  /** True when there is something for the journal; effects alone (reads) need no append. */
  get dirty(): boolean {
    return this.#facts.length > 0 || this.#inboxMoved || this.#changedSources !== undefined;
  }

  take(): PendingBatch {
    const batch = { facts: this.#facts, effects: this.#effects, sources: this.#changedSources, inboxSeq: this.#state.inboxSeq };
    this.#facts = [];
    this.#factChars = 0;
    this.#effects = [];
    this.#changedSources = undefined;
    this.#inboxMoved = false;
    return batch;
  }

  /** Not while facts are replayed: the journal has it. */
  record(fact: Fact): void {
    if (this.#state.replaying) return;
    this.#push(JSON.stringify(fact));
  }

  /** The `event` fact: by hand, since there are some of them for every run. */
  recordEvent(run: Run, ev: MachineEvent): void {
    const { replaying, now } = this.#state;
    if (!replaying) this.#push(`{"k":"event","at":${now},"run":"${run.run}","ev":${JSON.stringify(ev)}}`);
  }

  /** How a run comes, or came, to this partition. Not while facts are replayed. */
  recordCreated(
    run: Run,
    phase: Phase,
    keys: readonly string[] | undefined,
    held?: readonly number[],
    paused?: readonly number[],
  ): void {
    if (this.#state.replaying) return;
    this.#push(createdText(run, phase, keys, this.#state.now, held, paused));
  }

  /** Never called while facts are replayed: what they brought about has been done. */
  effect(effect: Effect): void {
    this.#effects.push(effect);
  }

  /** The inbox has been read up to here. */
  readInbox(seq: number): void {
    if (seq <= this.#state.inboxSeq) return;
    this.#state.inboxSeq = seq;
    this.#inboxMoved = true;
  }

  /** A source has been read up to here. False when it repeats itself. */
  readSource(source: string, position: Position): boolean {
    const { positions } = this.#state;
    const known = positions.get(source);
    if (known !== undefined && comparePositions(position, known) <= 0) return false;
    positions.set(source, position);
    (this.#changedSources ??= {})[source] = position;
    return true;
  }

  #push(text: string): void {
    this.#facts.push(text);
    this.#factChars += text.length + 1;
  }
}
