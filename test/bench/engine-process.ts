/** An engine node in a process of its own, which tells its memory and CPU when asked. */
import { pino } from "pino";
import { createEngine } from "sluice/engine";

const [servers = "", dataDir = "", lease = "500ms", partitions = "8", replicas = "1"] = process.argv.slice(2);
const logger = pino({ level: process.env["BENCH_LOG"] ?? "warn" }, pino.destination(2));
const began = performance.now();
const options = {
  servers: servers.split(","),
  dataDir,
  logger,
  lease,
  partitions: Number(partitions),
  replicas: Number(replicas),
};
// It may stand by for as long as another one lives, and is asked for its memory and CPU all the same.
let engine = createEngine(options);
let stopping = false;

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
  if (message !== "stop") return;
  stopping = true;
  void engine.stop().then(() => process.exit(0));
});
process.on("disconnect", () => process.exit(0));
process.send?.({ launched: true });
// One that has lost its lease begins anew, as `sluice engine` does.
while (!stopping) {
  await engine.start();
  process.send?.({ ready: performance.now() - began });
  await engine.closed;
  process.send?.({ lost: true });
  if (!stopping) engine = createEngine(options);
}
