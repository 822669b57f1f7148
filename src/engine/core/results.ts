/** What workers say of their attempts: an outcome, or that they don't have it. What follows from an outcome is the run's machine's. */
import type { ErrorData, StepResult } from "../../protocol/work.ts";
import type { MachineEvent } from "../facts.ts";
import type { Run } from "../run.ts";
import type { PartitionState } from "./partition-state.ts";
import type { RunLife } from "./run-life.ts";

export class Results {
  readonly #state: PartitionState;
  readonly #life: RunLife;
  readonly #maxOutputBytes: number;

  constructor(state: PartitionState, life: RunLife, maxOutputBytes: number) {
    this.#state = state;
    this.#life = life;
    this.#maxOutputBytes = maxOutputBytes;
  }

  /** Those that nobody waits for are counted as false in the answer, and change nothing. */
  take(result: StepResult): boolean {
    const run = this.#state.runs.get(result.run);
    const live = run?.live;
    const attempt = live?.attempts.get(result.step);
    if (run === undefined || live === undefined || attempt === undefined || attempt.id !== result.attemptId || attempt.over)
      return false;
    this.#life.feed(run, this.#eventOf(run, result));
    this.#life.over(attempt);
    return true;
  }

  /** What an outcome is to the run's machine. */
  #eventOf(run: Run, result: StepResult): MachineEvent {
    const { step, startedAt, finishedAt } = result;
    if (result.outcome === "returned") return { type: `step.returned.${step}` };
    // One for every attempt: spreading what may be absent took longer than all else here.
    let event: { type: string; [field: string]: unknown };
    if (result.outcome === "stopped") event = { type: `step.stopped.${step}` };
    else if (result.outcome === "failed") event = { type: `xstate.error.actor.${step}`, error: result.error };
    else {
      const tooLarge = this.#outputError(run, result.output);
      event =
        tooLarge === undefined
          ? { type: `xstate.done.actor.${step}`, output: result.output }
          : { type: `xstate.error.actor.${step}`, error: tooLarge };
    }
    if (startedAt !== undefined) event["startedAt"] = startedAt;
    if (finishedAt !== undefined) event["finishedAt"] = finishedAt;
    return event;
  }

  /** The worker did not take the attempt, or is gone (`lost`): the step wants a worker again. */
  giveBack(runId: string, attemptId: string, how: "returned" | "lost"): void {
    const run = this.#state.runs.get(runId);
    for (const attempt of run?.live?.attempts.values() ?? []) {
      if (run === undefined || attempt.id !== attemptId || attempt.over) continue;
      this.#life.feed(run, { type: `step.${how}.${attempt.step}` });
      this.#life.over(attempt);
      return;
    }
  }

  #outputError(run: Run, output: unknown): ErrorData | undefined {
    // Only large ones are measured: workers refuse what alone is too large.
    const steps = (run.live?.snapshot.context as { steps?: Record<string, { output?: unknown }> } | undefined)?.steps ?? {};
    if (Object.keys(steps).length < 2) return undefined;
    let bytes = jsonBytes(output);
    if (bytes < 4096) return undefined;
    for (const step of Object.values(steps)) if (step.output !== undefined) bytes += jsonBytes(step.output);
    const max = this.#maxOutputBytes;
    if (bytes <= max) return undefined;
    return {
      name: "OutputTooLargeError",
      code: "OUTPUT_TOO_LARGE",
      retryable: false,
      message: `expected the outputs of a run to take at most ${max} bytes of JSON together, got ${bytes}`,
    };
  }
}

function jsonBytes(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value) ?? "null");
}
