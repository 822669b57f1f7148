/**
 * Feeds the history with the journal of one partition: batches as they are committed, and, wherever it has not taken one
 * (its queue was full, its file could not be written for a while), again from the journal until it has them all.
 */
import type { Logger } from "pino";
import type { History } from "./history.ts";

/** Reads the journal after a sequence to its end as of now, in order, waiting for `onMessage` each time. */
export type ReadJournal = (
  partition: number,
  afterSeq: number,
  onMessage: (message: { readonly seq: number; readonly data: Uint8Array }) => void | Promise<void>,
) => Promise<void>;

export interface HistoryFeedOptions {
  readonly history: History;
  readonly partition: number;
  readonly logger: Logger;
  /** Without it, what was not taken is missing until `offer` begins again from the history's position (a restart). */
  readonly readJournal: ReadJournal | undefined;
}

const RETRY_MS = 1_000;

export class HistoryFeed {
  readonly #options: HistoryFeedOptions;
  /** The last batch that was offered. */
  #last = 0;
  #catchingUp: Promise<void> | undefined;

  constructor(options: HistoryFeedOptions) {
    this.#options = options;
  }

  /** The next batch of the journal; at first, those after the history's position. False: it will be read again. */
  offer(seq: number, text: string): boolean {
    const { history, partition } = this.#options;
    const previous = this.#last === 0 ? history.taken(partition) : this.#last;
    if (seq > this.#last) this.#last = seq;
    if (history.apply(partition, seq, previous, text)) return true;
    this.check();
    return false;
  }

  /** Begins to catch up if something that was offered is missing. */
  check(): void {
    const { history, partition, readJournal } = this.#options;
    if (readJournal === undefined || this.#catchingUp !== undefined || history.taken(partition) >= this.#last) return;
    this.#catchingUp = this.#catchUp(readJournal).finally(() => {
      this.#catchingUp = undefined;
      // A batch may have been refused after the last look.
      if (history.mode !== "stopped") this.check();
    });
  }

  async #catchUp(readJournal: ReadJournal): Promise<void> {
    const { history, partition, logger } = this.#options;
    logger.debug({ partition, from: history.taken(partition), to: this.#last }, "the history reads from the journal");
    for (;;) {
      await history.room();
      const from = history.taken(partition);
      if (history.mode === "stopped" || from >= this.#last) return;
      try {
        await this.#readFrom(from, readJournal);
      } catch (error) {
        logger.warn({ err: error, partition }, "the history cannot read the journal; retrying");
      }
      if (history.taken(partition) === from) await pause(RETRY_MS);
    }
  }

  /** Up to the journal's end, or until the history has lost what was read before. */
  async #readFrom(from: number, readJournal: ReadJournal): Promise<void> {
    const { history, partition } = this.#options;
    let last = from;
    let broken = false;
    await readJournal(partition, from, async ({ seq, data }) => {
      // The message before this one, whether or not the reader has waited for it.
      const previous = last;
      last = seq;
      const text = Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString();
      while (!broken && !history.apply(partition, seq, previous, text)) {
        broken = previous > history.taken(partition) || history.mode === "stopped";
        if (!broken) await history.room();
      }
    });
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}
