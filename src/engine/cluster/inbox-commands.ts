/**
 * Commands for partitions, from whichever node: put into the inbox once, and waited for until the owner has applied them, whoever is
 * the owner by then. Also the other end of that waiting.
 */
import { isRequestError, RequestError } from "../../errors.ts";
import type { Command } from "../../protocol/commands.ts";
import type { AppliedInboxes } from "./applied-inboxes.ts";
import type { NodeCalls } from "./node-calls.ts";

export interface InboxCommandsOptions {
  readonly calls: NodeCalls;
  readonly applied: AppliedInboxes;
  /** Stores it in the inbox of the partition, one of each `id`; resolves with its sequence there. */
  readonly publish: (partition: number, text: string, id?: string) => Promise<{ readonly seq: number }>;
}

interface Waiter {
  readonly seq: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

interface AppliedRequest {
  readonly partition: number;
  readonly seq: number;
}

/** Reason of an error: the command is durable, and nobody needs to send it again. */
export const APPLIED_LATER = "APPLIED_LATER";
const APPLIED = "node.applied";
/** An owner with a long inbox says that it lives, so often. */
const HOLD_MS = 1_000;

export class InboxCommands {
  readonly #options: InboxCommandsOptions;
  /** By partition: those who wait for its owner, which is another node; one request under way for all of them. */
  readonly #asking = new Map<number, Waiter[]>();

  constructor(options: InboxCommandsOptions) {
    this.#options = options;
    const { calls, applied } = options;
    calls.serve(APPLIED, async ({ partition, seq }: AppliedRequest): Promise<number> => {
      const reached = applied.reaches(partition, seq);
      let timer: NodeJS.Timeout | undefined;
      const held = new Promise<void>((resolve) => (timer = setTimeout(resolve, HOLD_MS)));
      try {
        await Promise.race([reached, held]);
      } finally {
        clearTimeout(timer);
      }
      // While it waited, the inbox may have got further than was asked.
      return applied.seqOf(partition) ?? (await reached);
    });
  }

  /**
   * Resolves once the command is applied and durable. Rejects with what the publish failed with: it is never put there twice; and with
   * RequestError 503 (`APPLIED_LATER`) when the partition had no owner for too long: it is durable, and will be applied.
   */
  async send(partition: number, command: Command): Promise<void> {
    const { applied, publish } = this.#options;
    // Whoever lost the answer asks for the same run again, of any node: it waits for the command that is there.
    const id = command.type === "create" ? command.run : undefined;
    const { seq } = await publish(partition, JSON.stringify(command), id);
    if (applied.isOpen(partition)) {
      try {
        await applied.reaches(partition, seq);
        return;
      } catch (error) {
        // It went to another node meanwhile.
        if (!isRequestError(error)) throw error;
      }
    }
    await new Promise<void>((resolve, reject) => {
      const waiter = { seq, resolve, reject };
      const asking = this.#asking.get(partition);
      if (asking !== undefined) asking.push(waiter);
      else {
        const waiters = [waiter];
        this.#asking.set(partition, waiters);
        void this.#ask(partition, waiters);
      }
    });
  }

  async #ask(partition: number, waiters: Waiter[]): Promise<void> {
    try {
      while (waiters.length > 0) {
        // The last of those who wait: the one before it costs no message.
        const seq = Math.max(...waiters.map((waiter) => waiter.seq));
        const reached = await this.#options.calls.toOwner<number>(partition, APPLIED, { partition, seq });
        const left = waiters.splice(0).filter((waiter) => {
          if (waiter.seq > reached) return true;
          waiter.resolve();
          return false;
        });
        waiters.push(...left);
      }
      this.#asking.delete(partition);
    } catch (error) {
      this.#asking.delete(partition);
      const later = isRequestError(error) && error.status === 503 ? appliedLater(partition, error) : error;
      for (const waiter of waiters) waiter.reject(later);
    }
  }
}

function appliedLater(partition: number, cause: unknown): RequestError {
  return new RequestError(
    `the command is stored, and will be applied when partition ${partition} has an owner again`,
    { operation: "send", status: 503, reason: APPLIED_LATER },
    { cause },
  );
}
