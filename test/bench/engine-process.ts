/** An engine node in a process of its own, which tells its memory and CPU when asked. */
import { pino } from "pino";
import { startEngine } from "sluice/engine";

const [servers, dataDir] = process.argv.slice(2);
const logger = pino({ level: process.env["BENCH_LOG"] ?? "warn" }, pino.destination(2));
const began = performance.now();
const engine = await startEngine({ servers: servers ?? "", dataDir: dataDir ?? "", logger, lease: "500ms" });

process.on("message", (message) => {
  if (message === "usage" || message === "memory") {
    // Collecting garbage costs CPU, so not where that is measured.
    if (message === "memory") globalThis.gc?.();
    process.send?.({
      usage: {
        cpu: process.cpuUsage(),
        heapUsed: process.memoryUsage().heapUsed,
        external: process.memoryUsage().external,
        rss: process.memoryUsage().rss,
      },
    });
  }
  if (message === "stop") void engine.stop().then(() => process.exit(0));
});
process.on("disconnect", () => process.exit(0));
process.send?.({ ready: performance.now() - began });
