/** What a history is told when it is created. */
import type { Logger } from "pino";
import { DEFAULT_REDACT } from "../protocol/redact.ts";

export interface HistoryOptions {
  /** Path of the file, in a folder of this engine node; it is created. `:memory:` keeps everything in memory. */
  readonly file: string;
  readonly logger: Logger;
  /** Whose journals these are: a file of another cluster is not used, since its positions mean nothing here. Default "". */
  readonly cluster?: string;
  /** Stream whose messages are the inputs of runs that events started (`names.eventsStream`). */
  readonly eventsStream: string;
  readonly retention: {
    /** Finished runs stay this long. Longer: a larger file. */
    readonly maxAgeMs: number;
    /** So many runs stay; above that, those that finished first go. Open runs always stay. */
    readonly maxRuns: number;
    /** So large may the file be, in bytes; above that, those that finished first go. Default: as large as it takes. */
    readonly maxBytes?: number;
  };
  /** Rules of what is stored encrypted, or not at all; see protocol/redact.ts. Default: passwords, tokens, secrets, authorization. */
  readonly redact?: readonly string[];
  /**
   * 64 hexadecimal digits, the same for all the life of the file: what is redacted is kept, encrypted, for those who ask for a
   * run with its values (`run`, `list`, `events`). Without it, they get "[redacted]" too.
   */
  readonly sealKey?: string;
  /** Default: the system's clock. */
  readonly now?: () => number;
  /** Characters of journal text that may wait for the thread. Default 32 Mi. More: longer bursts without reading again, more memory. */
  readonly maxQueuedChars?: number;
  /** Time between news and its transaction. Default 1 s. Reads don't wait for it. Longer: fewer writes per run. */
  readonly commitMs?: number;
  /** Time between commits and their fsync. Default 5 s. Longer: less I/O, journals are kept longer. */
  readonly checkpointMs?: number;
  /** Time until a file that failed is tried again. Default 5 s. */
  readonly retryMs?: number;
  /** Time between two looks for runs that are to go. Default 10 s. */
  readonly retainEveryMs?: number;
  /** How long a read waits for its answer. Default 10 s. */
  readonly requestTimeoutMs?: number;
  /** Another process may have the file, and then another one is taken: that is no error. Default: false. */
  readonly mayBeTaken?: boolean;
  /** Called when the file is open, each time: what comes after `taken` is to be fed (again). */
  readonly onOpen?: () => void;
}

export const HISTORY_DEFAULTS = {
  cluster: "",
  redact: DEFAULT_REDACT,
  now: Date.now,
  maxQueuedChars: 32 * 1024 * 1024,
  commitMs: 1_000,
  checkpointMs: 5_000,
  retryMs: 5_000,
  retainEveryMs: 10_000,
  requestTimeoutMs: 10_000,
  mayBeTaken: false,
  onOpen: (): void => undefined,
};
