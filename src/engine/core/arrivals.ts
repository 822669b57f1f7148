/**
 * A run's way from its creation to its groups: it may have to wait for its time, for its keys, or to go to another partition. What
 * the groups make of it is `Admission`'s.
 */
import type { KeyAnswer } from "../../protocol/work.ts";
import type { Placement } from "../placement.ts";
import { type Creation, Run } from "../run.ts";
import type { Admission } from "./admission.ts";
import type { BatchBuilder } from "./batch-builder.ts";
import type { KeyQueue } from "./key-queue.ts";
import { completeKeys, keysOf } from "./keys.ts";
import type { Outbox } from "./outbox.ts";
import type { PartitionState } from "./partition-state.ts";
import type { RunChanges } from "./run-changes.ts";
import type { RunLife } from "./run-life.ts";

/** The rooms that a run may come through. */
export interface ArrivalRooms {
  readonly changes: RunChanges;
  readonly keying: KeyQueue;
  readonly outbox: Outbox;
  readonly admission: Admission;
  readonly life: RunLife;
}

export class Arrivals {
  readonly #state: PartitionState;
  readonly #batch: BatchBuilder;
  readonly #rooms: ArrivalRooms;
  readonly #placement: Placement;

  constructor(state: PartitionState, batch: BatchBuilder, rooms: ArrivalRooms, placement: Placement) {
    this.#state = state;
    this.#batch = batch;
    this.#rooms = rooms;
    this.#placement = placement;
  }

  /** A run that another partition hands over may have gone from here before, when this one knew less of where runs belong. */
  arrive(creation: Creation, source: string): void {
    const known = this.#state.runs.get(creation.run);
    if (known?.rest?.moved !== undefined && source.startsWith("p")) this.#rooms.outbox.returned(known);
    this.create(creation);
  }

  create(creation: Creation): void {
    const { runs, now } = this.#state;
    if (runs.has(creation.run)) return;
    const scheduled = creation.notBefore !== undefined && creation.notBefore > now;
    const run = new Run(creation, scheduled ? "scheduled" : "keying");
    // While its input is at hand: a large one is let go of as soon as the run waits.
    const keys = creation.failure === undefined ? keysOf(creation) : { ok: false as const, error: creation.failure };
    if (!keys.ok) {
      this.#batch.recordCreated(run, "keying", undefined);
      this.#state.add(run);
      this.#rooms.life.finish(run, "FAILED", "KEY_FAILED", keys.error);
      return;
    }
    if (scheduled) {
      keepKeys(run, keys.keys);
      this.#batch.recordCreated(run, "scheduled", keys.keys);
      this.#state.add(run);
      this.#rooms.changes.tell(run, "queued", "QUEUED");
      run.dropLargeInput();
      return;
    }
    this.#route(run, keys.keys, true);
  }

  /** The time of a scheduled run has come. */
  due(run: Run): void {
    this.#route(run, run.rest?.keys ?? [], false);
  }

  /** Answers of a worker to a batch of runs that wait for their keys, in the order of the batch. */
  keyed(answers: KeyAnswer["results"]): void {
    const { keying, life, admission } = this.#rooms;
    for (const answer of answers) {
      const run = this.#state.runs.get(answer.run);
      if (run === undefined || run.phase !== "keying" || run.rest?.moved !== undefined) continue;
      keying.delete(run);
      if ("error" in answer) {
        const reason = answer.error.code === "INPUT_INVALID" ? "INPUT_INVALID" : "KEY_FAILED";
        life.finish(run, "FAILED", reason, answer.error);
        continue;
      }
      const keys = completeKeys(run, answer.keys);
      if (keys.ok) this.#place(run, keys.keys, false);
      else life.finish(run, "FAILED", "KEY_FAILED", keys.error);
      admission.settle();
    }
  }

  /** Finds the partition of a run that is to start now, and the keys that are not known yet. `fresh`: nothing is recorded of it yet. */
  #route(run: Run, given: readonly string[], fresh: boolean): void {
    if (!given.includes("")) {
      this.#place(run, given, fresh);
      this.#rooms.admission.settle();
      return;
    }
    const home = this.#placement.homeOf(run.workflow.name);
    if (home !== this.#state.partition) {
      this.#move(run, home, given, fresh);
      return;
    }
    run.phase = "keying";
    keepKeys(run, given);
    if (fresh) {
      this.#batch.recordCreated(run, "keying", given);
      this.#state.add(run);
      this.#rooms.changes.tell(run, "queued", "QUEUED");
    } else this.#batch.record({ k: "phase", at: this.#state.now, run: run.run, phase: "keying" });
    this.#rooms.keying.add(run);
    run.dropLargeInput();
  }

  /** Those whose limits have stopped moving, in their order. */
  placeHeld(): void {
    const { keying, admission } = this.#rooms;
    if (keying.held.size === 0) return;
    for (const run of [...keying.held]) {
      if (this.#placement.isMoving(run.workflow.spec)) continue;
      keying.delete(run);
      this.#send(run, run.rest?.keys ?? [], false);
      admission.settle();
    }
  }

  /** Where its groups are, or, while that is being decided, where it stands. */
  #place(run: Run, keys: readonly string[], fresh: boolean): void {
    if (this.#placement.isMoving(run.workflow.spec)) this.#hold(run, keys, fresh);
    else {
      // They came first.
      this.placeHeld();
      this.#send(run, keys, fresh);
    }
  }

  #hold(run: Run, keys: readonly string[], fresh: boolean): void {
    const waits = run.phase === "keying" && !fresh;
    run.phase = "keying";
    keepKeys(run, keys);
    if (fresh) {
      this.#batch.recordCreated(run, "keying", keys);
      this.#state.add(run);
      this.#rooms.changes.tell(run, "queued", "QUEUED");
    } else if (!waits) this.#batch.record({ k: "phase", at: this.#state.now, run: run.run, phase: "keying" });
    this.#rooms.keying.add(run);
    run.dropLargeInput();
  }

  #send(run: Run, keys: readonly string[], fresh: boolean): void {
    const to = this.#placement.partitionOf(run.workflow.spec, run.run, keys);
    if (to !== this.#state.partition && keys.length > 0) this.#move(run, to, keys, fresh);
    else this.#rooms.admission.arrive(run, keys, fresh);
  }

  #move(run: Run, to: number, keys: readonly string[], fresh: boolean): void {
    if (fresh) {
      this.#batch.recordCreated(run, "keying", keys);
      this.#state.add(run);
    }
    this.#rooms.outbox.send(run, to, keys);
  }
}

/** Until it arrives at its groups, which know them. */
function keepKeys(run: Run, keys: readonly string[]): void {
  if (keys.length > 0) run.rest = { ...run.rest, keys };
}
