/**
 * The workflows of the mix: every strategy, one limit and several, limits that workflows share, keys by CEL and by function, retries,
 * timeouts, graphs of steps, crons. What a step does is in the input of its run; where it waits and who watches is its world's.
 */
import { z } from "zod";
import { type AnyWorkflow, defineWorkflow, NonRetryableError, type StepContext, Strategy } from "../../../src/index.ts";

export interface StepPlan {
  /** Takes at least so long. */
  readonly ms: number;
  /** Throws in so many attempts … */
  readonly failures?: number;
  /** … an error after which there is no other attempt. */
  readonly final?: boolean;
  /** Takes no notice of its signal. */
  readonly deaf?: boolean;
}

export interface MixInput {
  readonly n: number;
  /** A run without one fails for it. */
  readonly key?: string;
  /** What happens to runs of one domain never happens at one instant, since its order would decide. */
  readonly domain: string;
  readonly steps: Readonly<Record<string, StepPlan>>;
  readonly text?: string;
}

/** Where handlers are executed. */
export interface MixWorld {
  readonly now: () => number;
  /** @throws the signal's reason, once that is aborted */
  readonly sleep: (ms: number, signal: AbortSignal | undefined) => Promise<void>;
  readonly saw: (what: "start" | "end", ctx: StepContext) => void;
}

export interface MixTimes {
  /** When virtual time begins. */
  readonly startMs: number;
  /** Handlers end at multiples of this after the start; so many ends fall together, and none with an action of the script. */
  readonly gridMs: number;
  /** At no instant do two handlers end, whatever their domains. */
  readonly alone: boolean;
}

export const GRACE_MS = 4_400;
/** Crons tick at full minutes, where other handlers end. */
const CRON_ENDS_MS = 700;

export const KEYED = ["replace", "robin", "newest", "except-newest", "except-oldest", "timed", "patient"] as const;
export const TANGLED = ["both", "both-too", "replace-both"] as const;

export function mixWorkflows(world: MixWorld, times: MixTimes): AnyWorkflow[] {
  const step = handlerOf(world, times);
  const keyOf = ({ input }: { readonly input: unknown }): string => (input as { readonly key: string }).key;
  const cel = "input.key";
  const { GROUP_ROUND_ROBIN, CANCEL_IN_PROGRESS, CANCEL_NEWEST, CANCEL_QUEUED_EXCEPT_NEWEST, CANCEL_QUEUED_EXCEPT_OLDEST } =
    Strategy;
  const total = { name: "total", key: '"all"', maxRuns: 4, strategy: GROUP_ROUND_ROBIN };
  const options = (name: string) => ({ name, on: [`mix.${name}`], grace: GRACE_MS });
  return [
    defineWorkflow({ ...options("replace"), on: ["mix.replace", "mix.fan"], concurrency: { key: cel } }).step("work", step),
    defineWorkflow({ ...options("robin"), concurrency: { key: keyOf, maxRuns: 2, strategy: GROUP_ROUND_ROBIN } })
      .step("first", step)
      .step("second", { after: ["first"], retries: 2, backoff: { min: 3_200, factor: 2 } }, step),
    defineWorkflow({ ...options("newest"), concurrency: { key: cel, maxRuns: 2, strategy: CANCEL_NEWEST } }).step("work", step),
    defineWorkflow({ ...options("except-newest"), concurrency: { key: cel, strategy: CANCEL_QUEUED_EXCEPT_NEWEST } }).step(
      "work",
      step,
    ),
    defineWorkflow({
      ...options("except-oldest"),
      concurrency: { key: keyOf, maxRuns: 2, strategy: CANCEL_QUEUED_EXCEPT_OLDEST },
    }).step("work", step),
    defineWorkflow({ ...options("timed"), concurrency: { key: cel, maxRuns: 2, strategy: CANCEL_IN_PROGRESS } }).step(
      "work",
      { timeout: 47_100, retries: 1, backoff: { min: 3_300 } },
      step,
    ),
    defineWorkflow({
      ...options("patient"),
      input: z.looseObject({ n: z.number() }),
      scheduleTimeout: 300_300,
      concurrency: { key: cel, strategy: GROUP_ROUND_ROBIN },
    }).step("work", step),
    defineWorkflow({
      ...options("both"),
      concurrency: [{ name: "user", key: cel, strategy: GROUP_ROUND_ROBIN }, total],
    }).step("work", { retries: 1, backoff: { min: 2_600 } }, step),
    defineWorkflow({
      ...options("both-too"),
      concurrency: [total, { name: "document", key: keyOf, maxRuns: 2, strategy: CANCEL_QUEUED_EXCEPT_NEWEST }],
    }).step("work", step),
    defineWorkflow({
      ...options("replace-both"),
      concurrency: [{ name: "chat", key: cel, strategy: CANCEL_IN_PROGRESS }, total],
    }).step("work", step),
    defineWorkflow({ ...options("free"), on: ["mix.free", "mix.fan"], onStepFailure: "finish" })
      .step("a", step)
      .step("b", { after: ["a"] }, step)
      .step("c", { after: ["a"] }, step)
      .step("d", { after: ["b", "c"] }, step),
    defineWorkflow({
      name: "ticking",
      cron: { expression: "*/10 * * * *", input: { n: -1, key: "tick", domain: "ticking", steps: { work: { ms: 840_000 } } } },
      concurrency: { key: cel, maxRuns: 1, strategy: CANCEL_IN_PROGRESS },
      grace: GRACE_MS,
    }).step("work", step),
  ];
}

/** Which workflows an event of the mix starts. */
export const STARTED_BY: Readonly<Record<string, readonly string[]>> = { "mix.fan": ["replace", "free"] };

function handlerOf(world: MixWorld, { startMs, gridMs, alone }: MixTimes): (ctx: StepContext<any, any>) => Promise<unknown> {
  const taken = new Set<string>();
  const endOf = (ctx: StepContext<MixInput>, ms: number): number => {
    const { n, domain } = ctx.input;
    // Of the two runs of one event either may begin first.
    const among = alone ? "" : ctx.workflow === "free" ? `free ${n}` : domain;
    const residue = n < 0 ? CRON_ENDS_MS : 0;
    let end = startMs + Math.ceil((world.now() + ms - startMs) / gridMs) * gridMs + residue;
    while (end <= world.now() || taken.has(`${among} ${end}`)) end += gridMs;
    taken.add(`${among} ${end}`);
    return end;
  };
  return async (ctx) => {
    const input = ctx.input as MixInput;
    const { ms = 1, failures = 0, final = false, deaf = false } = input.steps[ctx.step] ?? {};
    world.saw("start", ctx);
    try {
      await world.sleep(endOf(ctx, ms) - world.now(), deaf ? undefined : ctx.signal);
      if (ctx.attempt <= failures) throw failure(final, `failure ${ctx.attempt} of ${failures}`);
      return { n: input.n, key: ctx.key ?? null, attempt: ctx.attempt, text: input.text?.length ?? 0 };
    } finally {
      world.saw("end", ctx);
    }
  };
}

function failure(final: boolean, message: string): Error {
  return final ? new NonRetryableError(message) : new Error(message);
}
