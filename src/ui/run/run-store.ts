/**
 * What the run page knows, and the cursor that its views share. It asks again when the run has changed, never twice at once,
 * and less often the longer an answer takes; what comes is added to what is there, so a cursor in the past stays where it is.
 */
import { batch, computed, signal } from "@preact/signals";
import type { MachineDefinition, RunRecord } from "../../protocol/record.ts";
import type { Explanation, RunView } from "../../protocol/view.ts";
import { ApiError, call, describeError, isAbort } from "../api.ts";
import { watch } from "../live.ts";
import { type Cursor, cursorAt, isPast, moved, positionOf } from "./model/cursor.ts";
import { isOver, lifeOf } from "./model/life.ts";
import { joined } from "./model/joined.ts";
import { nextFrame } from "./model/playback.ts";
import { stateVisit } from "./model/state-visit.ts";

export type Problem = { readonly kind: "not found" | "failed"; readonly text: string };

/** Between two questions; and at least so many times as long as the last answer took. */
const PAUSE_MS = 200;
const PAUSE_FACTOR = 3;
/** The place in line and the time at a worker change without the run changing. */
const EXPLAIN_EVERY_MS = 2_000;
/** After an answer that failed, if nothing else happens before. */
const RETRY_MS = 2_000;

export class RunStore {
  readonly id: string;
  readonly run = signal<RunView | undefined>(undefined);
  readonly record = signal<RunRecord | undefined>(undefined);
  readonly machine = signal<MachineDefinition | undefined>(undefined);
  readonly explanation = signal<Explanation | undefined>(undefined);
  /** Why there is no run; why there is no record, or no machine, of one that is there. */
  readonly problem = signal<Problem | undefined>(undefined);
  readonly recordProblem = signal<string | undefined>(undefined);
  readonly machineProblem = signal<string | undefined>(undefined);
  readonly cursor = signal<Cursor>("live");
  readonly playing = signal(false);
  /** The state that was clicked in the chart, until the cursor moves otherwise. */
  readonly selected = signal<string | undefined>(undefined);

  readonly life = computed(() => lifeOf(this.record.value));
  readonly position = computed(() => positionOf(this.cursor.value, this.life.value));
  readonly frame = computed(() => this.life.value.frames[this.position.value]);
  readonly before = computed(() => this.life.value.frames[this.position.value - 1]);
  readonly past = computed(() => isPast(this.cursor.value, this.life.value));
  readonly over = computed(() => isOver(this.run.value?.status));

  #stopped = true;
  readonly #abort = new AbortController();
  /** What the next question adds to. */
  #known: RunRecord | undefined;
  #asking = false;
  #askAgain = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #playTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(id: string) {
    this.id = id;
  }

  /** Returns how to stop it. */
  start(): () => void {
    this.#stopped = false;
    const unwatch = watch(`run:${this.id}`, (...[event]) => {
      // After a restart, what is known may be told differently.
      if (event === "reset") this.#known = undefined;
      if (event === "run" || event === "reset" || event === "hello") this.refresh();
    });
    const explaining = setInterval(() => {
      if (!document.hidden && this.run.value !== undefined && !this.over.value) void this.#explain();
    }, EXPLAIN_EVERY_MS);
    this.refresh();
    return () => {
      this.#stopped = true;
      this.#abort.abort();
      unwatch();
      clearInterval(explaining);
      clearTimeout(this.#timer);
      clearTimeout(this.#playTimer);
    };
  }

  /** Asks for everything again, now or as soon as the question that is on its way is answered. */
  refresh(): void {
    if (this.#stopped) return;
    this.#askAgain = true;
    if (this.#asking) return;
    this.#asking = true;
    this.#askAgain = false;
    const from = performance.now();
    void this.#ask().then((fine) => {
      const took = performance.now() - from;
      clearTimeout(this.#timer);
      const pause = fine ? Math.max(PAUSE_MS, took * PAUSE_FACTOR) : RETRY_MS;
      this.#timer = setTimeout(() => {
        this.#asking = false;
        if (this.#askAgain || !fine) this.refresh();
      }, pause);
    });
  }

  /** False where it is worth trying again. */
  async #ask(): Promise<boolean> {
    const { signal } = this.#abort;
    try {
      const run = await call("run.get", { id: this.id }, signal);
      this.run.value = run;
      this.problem.value = undefined;
      const [recorded] = await Promise.all([this.#askRecord(), isOver(run.status) ? undefined : this.#explain()]);
      // The record was read after the run: where it tells of an end, the run has ended since.
      if (recorded && isOver(this.life.value.frames.at(-1)?.status) && !isOver(run.status))
        this.run.value = await call("run.get", { id: this.id }, signal);
      // The end may not be in the history yet.
      return recorded && (this.life.value.ended || !isOver(run.status) || this.life.value.frames.length === 0);
    } catch (error) {
      if (isAbort(error)) return true;
      const missing = error instanceof ApiError && error.status === 404;
      // A run that is shown stays: what failed is only the question.
      if (missing || this.run.value === undefined)
        this.problem.value = { kind: missing ? "not found" : "failed", text: describeError(error) };
      return missing;
    }
  }

  async #askRecord(): Promise<boolean> {
    const { signal } = this.#abort;
    try {
      const known = this.#known;
      const last = known?.frames.at(-1)?.index;
      const request = last === undefined ? { id: this.id } : { id: this.id, after: last };
      const news = await call("run.record", request, signal);
      batch(() => {
        this.record.value = this.#known = joined(known, news);
        this.recordProblem.value = undefined;
      });
      await this.#askMachine(news.machine);
      return true;
    } catch (error) {
      if (isAbort(error)) return true;
      this.recordProblem.value = describeError(error);
      return error instanceof ApiError && error.status >= 400 && error.status < 500;
    }
  }

  async #askMachine(hash: string): Promise<void> {
    if (this.machine.value?.hash === hash) return;
    if (hash === "") {
      this.machineProblem.value =
        "The engine does not know this version of the workflow any more, so it cannot say which states the run went through. What happened to it is still there.";
      return;
    }
    try {
      this.machine.value = await call("machine.get", { hash }, this.#abort.signal);
      this.machineProblem.value = undefined;
    } catch (error) {
      if (!isAbort(error)) this.machineProblem.value = describeError(error);
    }
  }

  async #explain(): Promise<void> {
    try {
      this.explanation.value = await call("run.explain", { id: this.id }, this.#abort.signal);
    } catch {
      // The next one may be answered; until then the last one stands.
    }
  }

  // ---------------------------------------------------------------- the cursor

  /** To a frame by its position; ends the playback. */
  goTo(position: number): void {
    this.pause();
    this.#set(cursorAt(position, this.life.value));
  }

  step(by: number): void {
    this.pause();
    this.#set(moved(this.cursor.value, by, this.life.value));
  }

  goLive(): void {
    this.pause();
    this.#set("live");
  }

  goStart(): void {
    this.goTo(0);
  }

  /** To the next of the frames in which the state was entered. False where it never was. */
  visit(state: string): boolean {
    const position = stateVisit(this.life.value, this.position.value, state);
    if (position === undefined) return false;
    this.goTo(position);
    this.selected.value = state;
    return true;
  }

  togglePlay(): void {
    if (this.playing.value) return this.pause();
    const { frames } = this.life.value;
    if (frames.length < 2) return;
    // From the end there is nothing to play but the whole.
    if (this.position.value >= frames.length - 1) this.#set(cursorAt(0, this.life.value));
    this.playing.value = true;
    this.#playOn();
  }

  pause(): void {
    clearTimeout(this.#playTimer);
    this.playing.value = false;
  }

  #playOn(): void {
    const next = nextFrame(this.life.value, this.position.value);
    if (next === undefined) {
      this.playing.value = false;
      return;
    }
    this.#playTimer = setTimeout(() => {
      const { frames } = this.life.value;
      this.#set(next.position >= frames.length - 1 ? "live" : cursorAt(next.position, this.life.value));
      this.#playOn();
    }, next.afterMs);
  }

  #set(cursor: Cursor): void {
    batch(() => {
      this.cursor.value = cursor;
      this.selected.value = undefined;
    });
  }
}
