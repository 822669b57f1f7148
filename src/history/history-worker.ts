/** The thread of the history: a projector, fed by the messages of its service (history.ts). */
import { parentPort, workerData } from "node:worker_threads";
import type { FromWorker, ToWorker, WorkerOptions } from "./messages.ts";
import { Projector } from "./projector.ts";

const port = parentPort;
if (port === null) throw new Error("history-worker runs as a worker thread only");

const projector = new Projector(workerData as WorkerOptions, (message: FromWorker) => port.postMessage(message));
projector.open();
port.on("message", (message: ToWorker) => {
  projector.receive(message);
  // Lets go of the thread once everything is written.
  if (message.type === "close") port.unref();
});
