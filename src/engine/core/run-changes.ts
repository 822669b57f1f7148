/** Tells the world of each change of a run. What has changed, and why, is decided elsewhere. */
import { outputsOf } from "../../../machines/run/compile.ts";
import type { RunContext } from "../../../machines/run/context.ts";
import type { RunChange, RunChangeMessage, RunStatus, StepStatus } from "../../protocol/view.ts";
import type { ErrorData } from "../../protocol/work.ts";
import type { Run } from "../run.ts";
import type { BatchBuilder } from "./batch-builder.ts";
import type { PartitionState } from "./partition-state.ts";

export class RunChanges {
  readonly #state: PartitionState;
  readonly #batch: BatchBuilder;
  #nowIso = { ms: Number.NaN, text: "" };

  constructor(state: PartitionState, batch: BatchBuilder) {
    this.#state = state;
    this.#batch = batch;
  }

  /** Not while facts are replayed: it was told of. */
  tell(
    run: Run,
    change: RunChange,
    status: RunStatus,
    step?: string,
    stepStatus?: StepStatus,
    error?: ErrorData,
    reason?: string,
  ): void {
    const { now, replaying } = this.#state;
    if (replaying) return;
    let outputs: Readonly<Record<string, unknown>> | undefined;
    if (change === "succeeded" && run.live !== undefined) outputs = outputsOf(run.live.snapshot.context as RunContext);
    const attempt = step === undefined ? undefined : run.live?.attempts.get(step)?.number;
    if (this.#nowIso.ms !== now) this.#nowIso = { ms: now, text: new Date(now).toISOString() };
    // Several for every run: spreading each field that may be absent would cost more than all else here.
    const message: { -readonly [K in keyof RunChangeMessage]: RunChangeMessage[K] } = {
      id: run.run,
      workflow: run.workflow.name,
      change,
      at: this.#nowIso.text,
      status,
    };
    if (reason !== undefined) message.reason = reason;
    if (step !== undefined) message.step = step;
    if (stepStatus !== undefined) message.stepStatus = stepStatus;
    if (attempt !== undefined) message.attempt = attempt;
    if (outputs !== undefined) message.outputs = outputs;
    if (error !== undefined) message.error = error;
    this.#batch.effect({ type: "change", run, message });
  }
}
