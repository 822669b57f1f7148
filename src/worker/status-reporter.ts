/**
 * Says that the worker lives, and notices when nobody can have heard it: heartbeats out, round trips to the server back. A
 * process that was stopped (SIGSTOP), blocked, or cut off for longer than its deadline finds the gap itself.
 */
import type { Logger } from "pino";
import type { WorkerMode } from "../../machines/worker/worker-life.ts";
import type { Epochs, WorkerStatus } from "../protocol/work.ts";

export interface StatusReporterOptions {
  /** Everything of the status that does not change. */
  readonly fixed: Omit<WorkerStatus, "mode" | "used" | "attempts" | "epochs">;
  readonly used: () => number;
  /** Attempts that run or whose results are not acknowledged. */
  readonly attempts: () => NonNullable<WorkerStatus["attempts"]>;
  readonly epochs: () => Epochs;
  readonly publish: (data: string) => void;
  /** Resolves when the server has answered; rejects where it cannot. */
  readonly roundTrip: () => Promise<void>;
  /** No sign of the server for longer than the deadline. Once per gap. */
  readonly onContactLost: (silentMs: number) => void;
  readonly logger: Logger;
  /** Monotonic, in ms. Default `performance.now`. */
  readonly now?: () => number;
}

export class StatusReporter {
  readonly #options: StatusReporterOptions;
  readonly #now: () => number;
  #mode: WorkerMode = "running";
  #timer: NodeJS.Timeout | undefined;
  /** When the latest answered round trip began. */
  #lastContact = 0;
  #inContact = false;
  #asking = false;

  constructor(options: StatusReporterOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Begins to beat; idempotent. */
  start(): void {
    if (this.#timer !== undefined) return;
    this.#lastContact = this.#now();
    this.#inContact = true;
    this.#timer = setInterval(this.#beat, this.#options.fixed.heartbeatMs);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** False from the moment that a gap is noticed until the server has answered again: what arrives then is old. */
  get isInContact(): boolean {
    if (this.#inContact && this.#timer !== undefined) this.#checkGap();
    return this.#inContact;
  }

  announce(mode: WorkerMode): void {
    this.#mode = mode;
    this.publish();
  }

  publish(options: { readonly withAttempts: boolean } = { withAttempts: false }): void {
    try {
      this.#options.publish(JSON.stringify(this.status(options)));
    } catch (error) {
      this.#options.logger.debug({ err: error }, "the worker's status could not be published");
    }
  }

  status({ withAttempts }: { readonly withAttempts: boolean }): WorkerStatus {
    const { fixed, used, attempts, epochs } = this.#options;
    return { ...fixed, mode: this.#mode, used: used(), ...(withAttempts && { attempts: attempts(), epochs: epochs() }) };
  }

  readonly #beat = (): void => {
    this.#checkGap();
    this.publish();
    this.#ask();
  };

  #checkGap(): void {
    const silentMs = this.#now() - this.#lastContact;
    if (!this.#inContact || silentMs <= this.#options.fixed.deadlineMs) return;
    this.#inContact = false;
    this.#options.onContactLost(Math.round(silentMs));
    this.#ask();
  }

  #ask(): void {
    // An answer that is under way from before a gap says nothing of now; but the server answers in order, so the next does.
    if (this.#asking) return;
    this.#asking = true;
    const began = this.#now();
    this.#options.roundTrip().then(
      () => {
        this.#asking = false;
        this.#contact(began);
      },
      () => {
        this.#asking = false;
      },
    );
  }

  #contact(began: number): void {
    const returned = !this.#inContact;
    // Itself older than the deadline: the question must be asked again.
    if (this.#now() - began > this.#options.fixed.deadlineMs) return this.#timer === undefined ? undefined : this.#ask();
    this.#lastContact = began;
    if (!returned) return;
    this.#inContact = true;
    this.#options.logger.info("in contact with NATS again");
    this.publish({ withAttempts: true });
  }
}
