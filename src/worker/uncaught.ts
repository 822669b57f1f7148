/**
 * What user code throws where nobody can catch it (in a timer, in a promise that nobody awaits) ends a Node.js process. While a
 * worker runs it is logged instead: one handler's mistake must not cost a hundred others their work.
 */
import type { Logger } from "pino";

const loggers = new Set<Logger>();

function onRejection(reason: unknown): void {
  for (const logger of loggers)
    logger.error({ err: reason }, "a promise was rejected and nobody handled it (unhandledRejection); the worker goes on");
}

function onException(error: unknown): void {
  for (const logger of loggers)
    logger.error({ err: error }, "an error was thrown and nobody caught it (uncaughtException); the worker goes on");
}

/** Begins to log them; what it returns ends that. Processes that listen for such errors themselves are left alone. */
export function logUncaught(logger: Logger): () => void {
  if (loggers.size === 0) {
    if (process.listenerCount("unhandledRejection") === 0) process.on("unhandledRejection", onRejection);
    if (process.listenerCount("uncaughtException") === 0) process.on("uncaughtException", onException);
  }
  loggers.add(logger);
  return () => {
    loggers.delete(logger);
    if (loggers.size > 0) return;
    process.off("unhandledRejection", onRejection);
    process.off("uncaughtException", onException);
  };
}
