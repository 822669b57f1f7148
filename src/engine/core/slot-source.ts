/** The slots of the workers, as a partition sees them. Which worker gets what is not its business: the dispatcher serves all partitions. */
import type { Attempt, ReadyStep, Run } from "../run.ts";

/** Never called while facts are replayed. */
export interface SlotSource {
  /** A worker for this step now, or undefined: then the step waits in fair order, and `assign` is called on the partition later. */
  request(step: ReadyStep): string | undefined;
  /** The step does not want a worker any more. */
  withdraw(step: ReadyStep): void;
  /** The attempt does not use its worker's slot any more. */
  release(attempt: Attempt): void;
  /** The attempt is its worker's now: after a request or an offer, or in recovery, when it was handed over before. */
  adopt(attempt: Attempt, run: Run, recovered: boolean): void;
  /** The slot that a request gave is not used after all. */
  unreserve(worker: string): void;
}
