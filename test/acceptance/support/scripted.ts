/**
 * Handlers whose behaviour the input of the run prescribes, so that tests decide what happens in workers that are other
 * processes: how long a step takes, when it fails, and at which gate it waits until the test opens that.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { StepContext } from "sluice";
import { now, record } from "./records.ts";

/** The folder of the gates; set by the test. A gate is open once a file of its name is there. */
export const GATES_VARIABLE = "SLUICE_TEST_GATES";

export interface StepScript {
  /** Takes so long. */
  readonly ms?: number;
  /** Waits until the test opens this gate. */
  readonly gate?: string;
  /** Only in this attempt. */
  readonly inAttempt?: number;
  /** Throws in this many attempts, then succeeds. */
  readonly failures?: number;
  /** Takes no notice of its signal. */
  readonly deaf?: boolean;
}

export interface ScriptedInput extends StepScript {
  readonly key?: string;
  readonly n?: number;
  /** For single steps, over what is said for all. */
  readonly steps?: { readonly [step: string]: StepScript | undefined };
}

type AnyContext = StepContext<any, any>;

const GATE_POLL_MS = 4;

/** Records the execution of `body`. */
export function recorded<T>(body: (ctx: AnyContext) => Promise<T> | T): (ctx: AnyContext) => Promise<T> {
  return async (ctx) => {
    const input = ctx.input as ScriptedInput | null;
    const common = {
      pid: process.pid,
      workflow: ctx.workflow,
      run: ctx.runId,
      step: ctx.step,
      attempt: ctx.attempt,
      attemptId: ctx.attemptId,
      keys: ctx.keys.map(({ key }) => key),
      ...(ctx.event !== undefined && { seq: ctx.event.seq }),
      ...(typeof input?.n === "number" && { n: input.n }),
    };
    const end = (outcome: "returned" | "threw"): void => {
      const { aborted, reason } = ctx.signal;
      record({
        what: "end",
        at: now(),
        ...common,
        outcome,
        ...(aborted && { aborted: (reason as { name?: string }).name ?? String(reason) }),
      });
    };
    record({ what: "start", at: now(), ...common });
    try {
      const result = await body(ctx);
      end("returned");
      return result;
    } catch (error) {
      end("threw");
      throw error;
    }
  };
}

/** Does as its input says and returns what identifies the execution. */
export const scripted = recorded(async (ctx) => {
  await perform(ctx);
  return { n: (ctx.input as ScriptedInput).n ?? null, attemptId: ctx.attemptId };
});

export async function perform(ctx: AnyContext): Promise<void> {
  const { steps, ...all } = ctx.input as ScriptedInput;
  const script: StepScript = { ...all, ...steps?.[ctx.step] };
  if (script.inAttempt === undefined || script.inAttempt === ctx.attempt) {
    const signal = script.deaf === true ? undefined : ctx.signal;
    if (script.ms !== undefined) await sleep(script.ms, undefined, { ...(signal !== undefined && { signal }) });
    if (script.gate !== undefined) await passGate(script.gate, signal);
  }
  if (ctx.attempt <= (script.failures ?? 0)) throw new Error(`failure ${ctx.attempt} of ${script.failures}`);
}

/** Waits until the test opens the gate, or the signal is aborted. */
export async function passGate(name: string, signal: AbortSignal | undefined): Promise<void> {
  const folder = process.env[GATES_VARIABLE];
  if (folder === undefined) throw new Error(`${GATES_VARIABLE} is not set`);
  while (!existsSync(join(folder, name))) await sleep(GATE_POLL_MS, undefined, { ...(signal !== undefined && { signal }) });
}
