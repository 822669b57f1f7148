/**
 * An AI chat answer. While it is being written, the user may send another message of the same conversation: then the answer
 * to the old one is stopped in the middle, and the answer to the new one is written.
 *
 *   sluice publish message.sent '{"conversation_id": "c1", "text": "How do I reset my password?"}'
 */
import { setTimeout as sleep } from "node:timers/promises";
import { defineWorkflow, Strategy } from "sluice";
import { z } from "zod";

export const chatAnswer = defineWorkflow({
  name: "chat-answer",
  on: ["message.sent"],
  input: z.object({ conversation_id: z.string().min(1), text: z.string() }),
  concurrency: {
    key: (ctx) => ctx.input.conversation_id,
    maxRuns: 1,
    strategy: Strategy.CANCEL_IN_PROGRESS,
  },
})
  .step("retrieve", { retries: 2, timeout: "10s" }, async (ctx) => ({
    documents: await search(ctx.input.text, ctx.signal),
  }))
  .step("write", { after: ["retrieve"], timeout: "60s" }, async (ctx) => {
    const { documents } = ctx.output("retrieve");
    let text = "";
    for await (const token of complete(ctx.input.text, documents, ctx.signal)) text += token; // here: show it to the user
    ctx.log.info({ conversation: ctx.key, characters: text.length }, "answered");
    return { text, sources: documents.map(({ title }) => title) };
  });

interface Document {
  readonly title: string;
  readonly passage: string;
}

/** Stands for a search in a vector store. */
async function search(text: string, signal: AbortSignal): Promise<Document[]> {
  await sleep(200, undefined, { signal });
  const topic = text.split(/\W+/).findLast((word) => word.length > 3) ?? "nothing";
  return [{ title: `About ${topic}`, passage: `What is known of ${topic}.` }];
}

/** Stands for a language model that streams its answer; a real client takes the signal in the same way. */
async function* complete(text: string, documents: readonly Document[], signal: AbortSignal): AsyncGenerator<string> {
  const answer = `You asked: "${text}" ${documents.map(({ passage }) => passage).join(" ")} That is all for now.`;
  for (const token of answer.split(/(?<= )/)) {
    await sleep(100, undefined, { signal });
    yield token;
  }
}
