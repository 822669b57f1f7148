/** The thread of the history: a projector, fed by the messages of its service (history.ts). */
import { constants, setPriority } from "node:os";
import { parentPort, workerData } from "node:worker_threads";
import type { FromWorker, ToWorker, WorkerOptions } from "./messages.ts";
import { Projector } from "./projector.ts";

const port = parentPort;
if (port === null) throw new Error("history-worker runs as a worker thread only");

// Where cores are scarce the engine goes first, and the history catches up. On Linux this is about this thread alone; elsewhere
// it would be about the whole process.
if (process.platform === "linux") setPriority(0, constants.priority.PRIORITY_BELOW_NORMAL);

const projector = new Projector(workerData as WorkerOptions, (message: FromWorker) => port.postMessage(message));
projector.open();
port.on("message", (message: ToWorker) => {
  projector.receive(message);
  // Lets go of the thread once everything is written.
  if (message.type === "close") port.unref();
});
