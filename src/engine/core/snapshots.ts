/**
 * A partition's whole state as lines of JSON, and back: a head, then every run as it came, with the events that its machine was fed.
 * Where the lines are kept is not known here.
 */
import type { Turns } from "../../../machines/fair-queue.ts";
import * as contexts from "../../../machines/group/context.ts";
import type { SnapshotLine } from "../facts.ts";
import type { Run } from "../run.ts";
import type { PartitionState } from "./partition-state.ts";
import type { RecoveredRooms, Recovery } from "./recovery.ts";
import { snapshotLine } from "./run-facts.ts";

type Head = Extract<SnapshotLine, { s: "head" }>;
type RunLine = Extract<SnapshotLine, { s: "run" }>;

export class Snapshots {
  readonly #state: PartitionState;
  readonly #rooms: RecoveredRooms;
  readonly #recovery: Recovery;
  /** Of the snapshot that is being read. */
  #turns: readonly { readonly limit: string; readonly key: string; readonly turns: Turns }[] = [];

  constructor(state: PartitionState, rooms: RecoveredRooms, recovery: Recovery) {
    this.#state = state;
    this.#rooms = rooms;
    this.#recovery = recovery;
  }

  // ---------------------------------------------------------------- out

  /** `replayLine` of them, and `end`, give the state back. */
  *lines(): Generator<string> {
    yield JSON.stringify(this.#head());
    for (const run of this.#inOrder()) yield snapshotLine(run);
  }

  #head(): Head {
    const { groups, inboxSeq, positions, order } = this.#state;
    const settings = [...groups].filter((group) => group.settings !== undefined);
    return {
      s: "head",
      v: 1,
      in: inboxSeq,
      src: Object.fromEntries(positions),
      order,
      outbox: this.#rooms.outbox.counts,
      limits: [...groups.rules].map(([name, rules]) => ({ name, ...rules })),
      groups: settings.map((group) => ({ limit: group.limit, key: group.key, ...group.settings })),
      crons: this.#rooms.crons.ticks,
      turns: [...groups].flatMap((group) => {
        const turns = contexts.turnsOf(group.context);
        return turns === undefined ? [] : [{ limit: group.limit, key: group.key, turns }];
      }),
    };
  }

  /** Those that have yet to arrive in the order in which they will go on, then all others in the order of their arrival. */
  #inOrder(): Run[] {
    const scheduled: Run[] = [];
    const arrived: Run[] = [];
    for (const run of this.#state.runs.values())
      if (run.phase === "scheduled") scheduled.push(run);
      else if (run.phase !== "keying") arrived.push(run);
    const { keying, outbox } = this.#rooms;
    return [...scheduled, ...keying.all(), ...outbox.all(), ...arrived.sort((a, b) => a.order - b.order)];
  }

  // ---------------------------------------------------------------- in

  /** Applies a line, the head first. */
  replayLine(line: SnapshotLine): void {
    this.#state.replaying = true;
    try {
      if (line.s === "head") this.#replayHead(line);
      else this.#replayRun(line);
    } finally {
      this.#state.replaying = false;
    }
  }

  #replayHead(line: Head): void {
    if (line.v !== 1) throw new TypeError(`expected a snapshot of version 1, got ${String(line.v)}`);
    const state = this.#state;
    const { outbox, limits, crons } = this.#rooms;
    state.inboxSeq = line.in;
    for (const [source, position] of Object.entries(line.src)) state.positions.set(source, position);
    state.order = line.order;
    outbox.restoreCounts(line.outbox);
    for (const limit of line.limits) state.groups.setRules(limit.name, { maxRuns: limit.maxRuns, strategy: limit.strategy });
    for (const group of line.groups) limits.replayGroup(group.limit, group.key, group);
    for (const cron of line.crons) crons.restore(cron);
    this.#turns = line.turns;
  }

  #replayRun({ created, order, moved, events }: RunLine): void {
    const state = this.#state;
    const { order: next, now } = state;
    state.now = created.at;
    state.order = order - 1;
    this.#recovery.replayCreated(created);
    state.order = next;
    const run = state.runs.get(created.run);
    if (run !== undefined) {
      if (moved !== undefined) this.#rooms.outbox.note(run, moved.to, moved.n, created.keys ?? []);
      for (const { at, ev } of events ?? []) {
        state.now = at;
        this.#recovery.replayOf(run, { k: "event", at, run: run.run, ev });
      }
    }
    state.now = Math.max(state.now, now);
  }

  /** After the last line: the turns between flows, which the runs alone don't tell. */
  end(): void {
    for (const { limit, key, turns } of this.#turns) {
      const group = this.#state.groups.find(limit, key);
      if (group !== undefined) group.apply((context) => contexts.restoreContext({ ...context, turns }));
    }
    this.#turns = [];
  }
}
