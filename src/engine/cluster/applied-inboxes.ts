/**
 * How far the inboxes of the partitions that are owned here are applied and durable, for those who wait for a command of theirs. Fed by
 * whoever reads the inboxes.
 */
import { Lane } from "../lane.ts";
import { notOwner } from "./owned-reads.ts";

interface Waiter {
  readonly seq: number;
  readonly resolve: (seq: number) => void;
  readonly reject: (error: Error) => void;
}

interface Inbox {
  seq: number;
  /** By sequence; most come in that order. */
  waiters: Lane<Waiter>;
  late: Waiter[];
}

export class AppliedInboxes {
  readonly #inboxes = new Map<number, Inbox>();

  /** The partition is here now, and has applied its inbox up to `seq`. */
  open(partition: number, seq: number): void {
    this.close(partition);
    this.#inboxes.set(partition, { seq, waiters: new Lane(), late: [] });
  }

  /** All up to `seq` is applied and durable. */
  applied(partition: number, seq: number): void {
    const inbox = this.#inboxes.get(partition);
    if (inbox === undefined || seq <= inbox.seq) return;
    inbox.seq = seq;
    for (let first = inbox.waiters.first; first !== undefined && first.seq <= seq; first = inbox.waiters.first) {
      inbox.waiters.drop();
      first.resolve(seq);
    }
    if (inbox.late.length === 0) return;
    const due = inbox.late.filter((waiter) => waiter.seq <= seq);
    inbox.late = inbox.late.filter((waiter) => waiter.seq > seq);
    for (const waiter of due) waiter.resolve(seq);
  }

  /** It is another's: who waits is told, and asks there. What was applied stays so. */
  close(partition: number): void {
    const inbox = this.#inboxes.get(partition);
    if (inbox === undefined) return;
    this.#inboxes.delete(partition);
    for (let first = inbox.waiters.first; first !== undefined; first = inbox.waiters.first) {
      inbox.waiters.drop();
      first.reject(notOwner(partition));
    }
    for (const waiter of inbox.late) waiter.reject(notOwner(partition));
  }

  isOpen(partition: number): boolean {
    return this.#inboxes.has(partition);
  }

  seqOf(partition: number): number | undefined {
    return this.#inboxes.get(partition)?.seq;
  }

  /** Resolves, with how far it is then, once it has got to `seq`. Rejects with 503 NOT_OWNER where the partition is not here, or goes. */
  reaches(partition: number, seq: number): Promise<number> {
    const inbox = this.#inboxes.get(partition);
    if (inbox === undefined) return Promise.reject(notOwner(partition));
    if (inbox.seq >= seq) return Promise.resolve(inbox.seq);
    return new Promise((resolve, reject) => {
      const waiter = { seq, resolve, reject };
      // Acknowledgements may come out of order.
      if (seq < (inbox.waiters.last?.seq ?? 0)) inbox.late.push(waiter);
      else inbox.waiters.push(waiter);
    });
  }
}
