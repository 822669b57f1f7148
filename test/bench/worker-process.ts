/** A worker node with the workflows of the benchmark. It records when handlers of timed events start. */
import { pino } from "pino";
import { startWorker } from "sluice";
import { workflows } from "./workflows.ts";

/** `only`: the names of the workflows that it serves, with commas between them. */
const [servers = "", slots, only] = process.argv.slice(2);
const worker = await startWorker({
  servers: servers.split(","),
  workflows: workflows({
    timed: (sentAt) => process.send?.({ started: [sentAt, now()] }),
    probe: (id) => process.send?.({ probe: [id, now()] }),
  }).filter(({ name }) => only === undefined || only.split(",").includes(name)),
  slots: Number(slots),
  logger: pino({ level: "warn" }, pino.destination(2)),
});

/** Comparable between the processes of one machine, in ms. */
function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

process.on("message", (message) => {
  if (message === "usage")
    process.send?.({
      usage: { cpu: process.cpuUsage(), heapUsed: process.memoryUsage().heapUsed, external: 0, rss: process.memoryUsage().rss },
    });
  if (message === "stop") void worker.stop().then(() => process.exit(0));
});
process.on("disconnect", () => process.exit(0));
process.send?.({ ready: 0 });
