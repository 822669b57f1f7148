/**
 * Documents of many tenants are fetched, split, embedded and stored. Each tenant has two at a time in work, so that one
 * tenant's hundred thousand uploads make no other tenant wait.
 *
 *   sluice publish document.uploaded '{"tenant_id": "acme", "url": "https://example.com/report.txt"}'
 */
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { defineWorkflow, NonRetryableError, Strategy } from "sluice";
import { z } from "zod";

export const documentIngestion = defineWorkflow({
  name: "document-ingestion",
  on: ["document.uploaded"],
  input: z.object({ tenant_id: z.string().min(1), url: z.url() }),
  concurrency: {
    key: "input.tenant_id", // an expression: the engine computes it by itself, without asking a worker
    maxRuns: 2,
    strategy: Strategy.GROUP_ROUND_ROBIN,
  },
  stepDefaults: { retries: 3, backoff: { min: "100ms", factor: 2, max: "5s" }, timeout: "30s" },
})
  .step("fetch", async (ctx) => ({ text: await download(ctx.input.url, ctx.attempt, ctx.signal) }))
  .step("split", { after: ["fetch"] }, (ctx) => {
    const [title = "", ...paragraphs] = ctx.output("fetch").text.split("\n\n");
    return { title, paragraphs };
  })
  // These two start together, when `split` is done …
  .step("embed-title", { after: ["split"] }, async (ctx) => ({
    vectors: await embed([ctx.output("split").title], ctx.signal),
  }))
  .step("embed-paragraphs", { after: ["split"] }, async (ctx) => ({
    vectors: await embed(ctx.output("split").paragraphs, ctx.signal),
  }))
  // … and this one waits for both.
  .step("store", { after: ["embed-title", "embed-paragraphs"] }, async (ctx) => {
    const vectors = [...ctx.output("embed-title").vectors, ...ctx.output("embed-paragraphs").vectors];
    await sleep(50, undefined, { signal: ctx.signal });
    // Steps run at least once: an id that is the same for every attempt makes storing twice the same as storing once.
    ctx.log.info({ tenant: ctx.key, url: ctx.input.url, vectors: vectors.length }, "stored");
    return { id: digest(`${ctx.runId} ${ctx.input.url}`), vectors: vectors.length };
  });

/** Stands for a download. Addresses with "flaky" fail at first, addresses with "missing" always. */
async function download(url: string, attempt: number, signal: AbortSignal): Promise<string> {
  await sleep(100, undefined, { signal });
  if (url.includes("missing")) throw new NonRetryableError(`404 Not Found: ${url}`); // another attempt cannot help
  if (url.includes("flaky") && attempt === 1) throw new Error(`503 Service Unavailable: ${url}`);
  return [`Report of ${url}`, "It begins here.", "It goes on for a while.", "It ends here."].join("\n\n");
}

/** Stands for an embedding model. */
async function embed(texts: readonly string[], signal: AbortSignal): Promise<number[][]> {
  await sleep(100, undefined, { signal });
  return texts.map((text) => [...Buffer.from(digest(text), "hex").subarray(0, 4)].map((byte) => byte / 255));
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 32);
}
