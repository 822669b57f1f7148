/** Statuses of runs as numbers, as the file has them: a run's number only ever grows. */
import type { RunStatus } from "../protocol/view.ts";

export const RUN_STATUSES: readonly RunStatus[] = ["QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"];
export type RunStatusNumber = 0 | 1 | 2 | 3 | 4;
/** From here on a run has ended. */
export const FIRST_FINAL: RunStatusNumber = 2;
