/**
 * What a partition knows, shared by the rooms of its core: its runs and groups, what is due when, its time, and how far it has read.
 * It decides nothing and records nothing; each field says who changes it.
 */
import type { Position } from "../facts.ts";
import { Groups } from "../group.ts";
import { Rate } from "../rate.ts";
import type { Run, TimerValue } from "../run.ts";
import { TimerQueue } from "../timer-queue.ts";
import { PartitionClock } from "./partition-clock.ts";

export class PartitionState {
  readonly partition: number;
  /** Those that live, by id: added here, taken out by `RunLife`, and by `Outbox` once another partition has them. */
  readonly runs = new Map<string, Run>();
  /** Opened and closed by `Admission` and `Limits`. */
  readonly groups = new Groups();
  /** Each is kept by what it belongs to as well: a run, its machine or a cron. */
  readonly timers = new TimerQueue<TimerValue>();
  /** How far each source has been read: by `BatchBuilder`, and by recovery. */
  readonly positions = new Map<string, Position>();
  /** How far the inbox has been read: by `BatchBuilder`, and by recovery. */
  inboxSeq = 0;
  /** Place of the run that was the last to arrive at its groups: counted by `Admission`, and by recovery. */
  order = 0;
  /** The time of whatever happens now, in ms since the epoch. Recovery sets it back to that of the fact. */
  now = 0;
  /** Runs that were admitted and have not ended: counted by `RunLife`. */
  active = 0;
  /** Runs that wait for their time. */
  scheduled = 0;
  /** Admissions and ends, for those who watch: counted by `RunLife`. */
  readonly starts = new Rate();
  readonly finishes = new Rate();
  /** Facts are applied: nothing is recorded, nobody is told, and no slot is asked for. Set by recovery. */
  replaying = false;
  readonly #clock = new PartitionClock();

  /** Time that has really passed, from anywhere, in ms: no clock that jumps. */
  readonly elapsed: () => number;

  constructor(partition: number, elapsed: () => number) {
    this.partition = partition;
    this.elapsed = elapsed;
  }

  /** `wallMs`: what the node's clock says. */
  setTime(wallMs: number): void {
    this.now = this.#clock.advance(this.now, wallMs);
  }

  add(run: Run): void {
    this.runs.set(run.run, run);
    if (run.phase !== "scheduled") return;
    run.timer = this.timers.add(run.rest?.notBefore ?? this.now, { kind: "scheduled", run });
    this.scheduled++;
  }

  /** Takes back the run's own deadline, if it has one. */
  clearTimer(run: Run): void {
    if (run.timer === undefined) return;
    this.timers.remove(run.timer);
    this.timerOver(run);
  }
  /** The run's own deadline has passed, or was taken back. */
  timerOver(run: Run): void {
    if (run.timer?.value.kind === "scheduled") this.scheduled--;
    run.timer = undefined;
  }
}
