/**
 * Starting and ending the thread of the history: from the built files as from the TypeScript sources (tests, tsx).
 */
import { Worker } from "node:worker_threads";
import type { FromWorker, ToWorker, WorkerOptions } from "./messages.ts";

/** A thread that does not end by itself within this time is ended. */
const CLOSE_TIMEOUT_MS = 10_000;

export interface Thread {
  post(message: ToWorker): void;
  /** Resolves when it has written everything and ended. */
  close(): Promise<void>;
  /** Resolves when it has ended, in the middle of whatever it does. */
  end(): Promise<void>;
}

/** `onEnd` is called when it ends without having been closed. */
export function startThread(
  options: WorkerOptions,
  onMessage: (message: FromWorker) => void,
  onEnd: (error: Error) => void,
): Thread {
  const worker = startWorker(options);
  let closing = false;
  let failure: Error | undefined;
  const exited = new Promise<void>((resolve) => {
    worker.once("exit", (code) => {
      resolve();
      if (!closing) onEnd(failure ?? new Error(`exit code ${code}`));
    });
  });
  worker.on("message", onMessage);
  worker.on("error", (error) => {
    failure = error instanceof Error ? error : new Error(String(error));
  });
  return {
    post: (message) => {
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
      worker.postMessage(message);
    },
    close: async () => {
      closing = true;
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
      worker.postMessage({ type: "close" } satisfies ToWorker);
      const timer = setTimeout(() => void worker.terminate(), CLOSE_TIMEOUT_MS);
      await exited;
      clearTimeout(timer);
    },
    end: async () => {
      closing = true;
      await worker.terminate();
    },
  };
}

/** The worker's file beside this one, of the same kind. Node runs no TypeScript in threads by itself: tsx does. */
function startWorker(options: WorkerOptions): Worker {
  const name = "sluice-history";
  if (!import.meta.url.endsWith(".ts"))
    return new Worker(new URL("./history-worker.js", import.meta.url), { workerData: options, name });
  const tsx = import.meta.resolve("tsx/esm/api");
  const code = `import(${JSON.stringify(tsx)}).then(({ tsImport }) => tsImport("./history-worker.ts", ${JSON.stringify(import.meta.url)}))`;
  // What the process itself was started with (a test runner's loaders) is not for this thread.
  return new Worker(code, { eval: true, workerData: options, name, execArgv: [] });
}
