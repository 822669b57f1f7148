/**
 * A worker node as a process of its own, for tests that stop or kill it: `SLUICE_NATS_URL`, `WORKER_OPTIONS` (JSON). Its workflow
 * `w` has a step `hold`, which never ends before its signal is aborted, and a step `echo`. Prints a line per thing that happens.
 */
import { pino } from "pino";
import { defineWorkflow } from "../../src/workflow/define.ts";
import { startWorker } from "../../src/worker/start-worker.ts";

const workflow = defineWorkflow({ name: "w" })
  .step("hold", async (ctx) => {
    console.log(`holding ${ctx.attemptId}`);
    await new Promise<void>((resolve) => ctx.signal.addEventListener("abort", () => resolve()));
    console.log(`aborted ${ctx.attemptId}: ${(ctx.signal.reason as Error).message}`);
  })
  .step("echo", (ctx) => {
    console.log(`echoing ${ctx.attemptId}`);
    return ctx.input;
  });

const worker = await startWorker({
  servers: process.env["SLUICE_NATS_URL"],
  workflows: [workflow],
  logger: pino({ level: "info" }, pino.destination(2)),
  ...(JSON.parse(process.env["WORKER_OPTIONS"] ?? "{}") as object),
});
console.log(`worker ${worker.id}`);
process.on("SIGTERM", () => void worker.stop());
await worker.closed;
console.log("ended");
