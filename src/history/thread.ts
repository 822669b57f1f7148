/**
 * Starting and ending the thread of the history: from the built files as from the TypeScript sources (tests, tsx).
 */
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
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
  const { url, execArgv } = entry();
  const worker = new Worker(url, { workerData: options, execArgv, name: "sluice-history" });
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
function entry(): { readonly url: URL; readonly execArgv: string[] } {
  if (!import.meta.url.endsWith(".ts")) return { url: new URL("./history-worker.js", import.meta.url), execArgv: [] };
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href;
  return { url: new URL("./history-worker.ts", import.meta.url), execArgv: ["--import", tsx] };
}
