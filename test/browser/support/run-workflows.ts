/** Workflows of the tests of the run page. Those that wait are let go by the test, through gates in this process. */
import { setTimeout as sleep } from "node:timers/promises";
import { defineWorkflow, Strategy } from "../../../src/index.ts";
import { z } from "zod";

/** Opened by a test, once per name. */
export class Gates {
  readonly #waiting = new Map<string, () => void>();
  readonly #open = new Set<string>();

  open(name: string): void {
    this.#open.add(name);
    this.#waiting.get(name)?.();
  }

  /** Until the gate is opened, or the signal is aborted: then it throws as a handler should. */
  async pass(name: string, signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      if (this.#open.has(name)) return resolve();
      this.#waiting.set(name, resolve);
      signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
    });
  }
}

export const gates = new Gates();

const short = { factor: 1, min: "400ms", max: "400ms" } as const;

/** A diamond: "rank" needs a second attempt. */
export const report = defineWorkflow({
  name: "report",
  on: ["report.wanted"],
  input: z.looseObject({ tenant: z.string() }),
  concurrency: { name: "tenant", key: (ctx) => ctx.input.tenant, maxRuns: 2, strategy: Strategy.GROUP_ROUND_ROBIN },
})
  .step("fetch", async () => {
    await sleep(160);
    return { documents: 3, token: "tok-secret-output" };
  })
  .step("rank", { after: ["fetch"], retries: 2, backoff: short }, async (ctx) => {
    await sleep(90);
    if (ctx.attempt === 1) throw new Error("the model is busy <script>globalThis.hacked = 1</script>");
    await sleep(180);
    return { order: [2, 0, 1] };
  })
  .step("embed", { after: ["fetch"] }, async () => {
    await sleep(320);
    return { vectors: 3 };
  })
  .step("write", { after: ["rank", "embed"] }, async () => {
    await sleep(240);
    return { text: "All is well." };
  });

/** A chat answer: a newer message cancels it. */
export const chat = defineWorkflow({
  name: "chat",
  on: ["message.sent"],
  input: z.object({ user: z.string(), text: z.string() }),
  concurrency: { key: (ctx) => ctx.input.user, maxRuns: 1, strategy: Strategy.CANCEL_IN_PROGRESS },
})
  .step("retrieve", async () => {
    await sleep(120);
    return { passages: 4 };
  })
  .step("answer", { after: ["retrieve"] }, async (ctx) => {
    await gates.pass(`chat ${ctx.input.text}`, ctx.signal);
    return { text: "…" };
  });

/** Holds its slot until its gate is opened. */
export const hold = defineWorkflow({
  name: "hold",
  on: ["hold.wanted"],
  input: z.object({ tenant: z.string(), gate: z.string() }),
  concurrency: { name: "hold", key: (ctx) => ctx.input.tenant, maxRuns: 1, strategy: Strategy.GROUP_ROUND_ROBIN },
})
  .step("first", () => ({ done: true }))
  .step("hold", { after: ["first"] }, async (ctx) => {
    await gates.pass(ctx.input.gate, ctx.signal);
    return { held: ctx.input.gate };
  });

/** Fails, and is tried again half a minute later. */
export const flaky = defineWorkflow({ name: "flaky", input: z.object({}) }).step(
  "call",
  { retries: 3, backoff: { factor: 1, min: "30s", max: "30s" } },
  () => {
    throw new Error("503 from upstream");
  },
);

export const broken = defineWorkflow({ name: "broken", input: z.looseObject({}) }).step("explode", () => {
  throw new Error('no <img src=x onerror="globalThis.hacked = 1"> luck');
});

/** Fails so often that its life has thousands of frames. */
export const poll = defineWorkflow({ name: "poll", input: z.object({ times: z.number(), gate: z.string() }) }).step(
  "look",
  { retries: 100_000, backoff: { factor: 1, min: 1, max: 1 } },
  async (ctx) => {
    if (ctx.attempt <= ctx.input.times) throw new Error("not yet");
    await gates.pass(ctx.input.gate, ctx.signal);
    return { looked: ctx.attempt };
  },
);

export const RUN_WORKFLOWS = [report, chat, hold, flaky, broken, poll] as const;
