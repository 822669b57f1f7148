/**
 * What lasts when the engine of the test kit is restarted, as the streams do in production: journals, snapshots, inboxes, events
 * that have not reached their partitions, large payloads. In memory; whatever is in here counts as stored.
 */
import type { Position } from "../engine/facts.ts";
import type { Creation } from "../engine/run.ts";
import type { Command, TransferCommand } from "../protocol/commands.ts";

export const EVENTS_STREAM = "events";

/** In memory runs go from partition to partition without an inbox. */
export type MemoryCommand = Exclude<Command, TransferCommand>;

export interface InboxEntry {
  readonly seq: number;
  readonly command: MemoryCommand;
  /** Resolved once the command is applied and durable. */
  readonly applied: () => void;
}

export interface RoutedCreation {
  readonly position: Position;
  readonly creation: Creation;
}

export class PartitionStore {
  readonly journal: string[] = [];
  snapshot: { readonly lines: readonly string[]; readonly journalSeq: number } | undefined = undefined;
  /** What is not applied yet, oldest first. */
  readonly inbox = new Map<number, InboxEntry>();
  inboxSeq = 0;
  /** Runs of events that are not in the journal yet, oldest first. */
  readonly routed = new Set<RoutedCreation>();
}

export class MemoryStore {
  readonly partitions: readonly PartitionStore[];
  readonly #payloads = new Map<string, string>();
  eventSeq = 0;

  constructor(partitions: number) {
    this.partitions = Array.from({ length: partitions }, () => new PartitionStore());
  }

  partition(number: number): PartitionStore {
    const store = this.partitions[number];
    if (store === undefined) throw new RangeError(`there is no partition ${number}`);
    return store;
  }

  keep(stream: string, seq: number, text: string): void {
    this.#payloads.set(`${stream} ${seq}`, text);
  }

  payload(stream: string, seq: number): string | undefined {
    return this.#payloads.get(`${stream} ${seq}`);
  }
}
