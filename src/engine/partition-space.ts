/**
 * How full the stream of a partition is, where it has a limit in bytes: says when a snapshot is due early, so that the journal before it
 * can go before the stream refuses anything, and lets go of it as soon as nobody needs it. It asks the server, since others write to
 * the stream too, as often as much was written; what a snapshot is, and what may go, is not known here.
 */
import type { Logger } from "pino";

export interface PartitionSpaceOptions {
  readonly use: () => Promise<{ readonly bytes: number; readonly maxBytes: number | undefined }>;
  /** Lets go of what lies before the newest snapshot, as far as it is not needed any more. */
  readonly letGo: () => Promise<void>;
  readonly logger: Logger;
}

/**
 * How full it may be. Not more, since the snapshot has to fit as well, and what is written meanwhile, and what the histories of the
 * cluster have not on their disks yet.
 */
const CROWDED = 0.5;
/** Written since the last snapshot, as a part of the limit, before another is due for the sake of room: else one would follow the other. */
const WORTH_A_SNAPSHOT = 1 / 8;
/** Written, as a part of the limit, before there is another look. */
const WORTH_A_LOOK = 1 / 32;
const LOOK_EVERY_MS = 1_000;
/** Without a limit there is nothing to look at; somebody may set one by hand. */
const LOOK_FOR_LIMIT_EVERY_MS = 30_000;

export class PartitionSpace {
  readonly #options: PartitionSpaceOptions;
  /** Infinite where there is none. */
  #maxBytes = Infinity;
  #bytes = 0;
  /** Before the first one that is written here, nobody knows. */
  #sinceSnapshot = Infinity;
  #sinceLook = 0;
  #looking = false;
  #timer: NodeJS.Timeout | undefined = undefined;
  #mode: "idle" | "running" | "stopped" = "idle";

  constructor(options: PartitionSpaceOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#mode !== "idle") return;
    this.#mode = "running";
    void this.#look();
  }

  /** Does not wait for the server. Idempotent. */
  stop(): void {
    this.#mode = "stopped";
    clearTimeout(this.#timer);
  }

  /** So much came into the stream, by whomever. */
  written(bytes: number): void {
    this.#bytes += bytes;
    this.#sinceSnapshot += bytes;
    this.#sinceLook += bytes;
    if (this.#sinceLook > this.#maxBytes * WORTH_A_LOOK) void this.#look();
  }

  /** Throws where it does not fit: the part that does would only fill the stream. The next one is due when more was written. */
  beginSnapshot(lines: readonly string[]): void {
    this.#sinceSnapshot = 0;
    const chars = lines.reduce((sum, line) => sum + line.length + 1, 0);
    if (this.#bytes + chars > this.#maxBytes)
      throw new RangeError(`a snapshot of ${chars} characters does not fit: ${this.#bytes} of ${this.#maxBytes} bytes are taken`);
  }

  /** A snapshot would make room that is wanted. */
  get wantsSnapshot(): boolean {
    return this.isCrowded && this.#sinceSnapshot > this.#maxBytes * WORTH_A_SNAPSHOT;
  }

  /** Room is wanted. */
  get isCrowded(): boolean {
    return this.#bytes > this.#maxBytes * CROWDED;
  }

  async #look(): Promise<void> {
    if (this.#looking || this.#mode !== "running") return;
    this.#looking = true;
    this.#sinceLook = 0;
    clearTimeout(this.#timer);
    try {
      const { bytes, maxBytes = Infinity } = await this.#options.use();
      this.#maxBytes = maxBytes;
      this.#bytes = bytes;
      // Also without a new snapshot: a history may have been behind when the last one was written.
      if (this.isCrowded) await this.#options.letGo();
    } catch (error) {
      this.#options.logger.debug(
        { err: error },
        "how full the stream of a partition is could not be found out; it is tried again",
      );
    }
    this.#looking = false;
    this.#lookLater();
  }

  #lookLater(): void {
    if (this.#mode !== "running") return;
    this.#timer = setTimeout(() => void this.#look(), this.#maxBytes < Infinity ? LOOK_EVERY_MS : LOOK_FOR_LIMIT_EVERY_MS);
  }
}
