/**
 * What the page knows of foreign programs, and the cursor that its views share. It asks again when the server says that
 * something has changed, only for what is new, and never twice at once.
 */
import { batch, computed, signal } from "@preact/signals";
import type { InspectActorView, InspectProgramView } from "../../protocol/inspect.ts";
import type { MachineDefinition } from "../../protocol/record.ts";
import { ApiError, describeError, isAbort } from "../api.ts";
import { watch } from "../live.ts";
import { inspectApi } from "./inspect-api.ts";
import { moved, NO_HISTORY, positionOf, withFrames, type Cursor } from "./model/history.ts";

/** Frames that the page loads at first, at each request for older ones, and holds at most. */
const PAGE = 1_000;
const MOST_FRAMES = 20_000;
/** Between two rounds of questions. */
const PAUSE_MS = 200;
/** After one that failed, if nothing else happens before. */
const RETRY_MS = 2_000;

export class InspectStore {
  /** Undefined until the first answer. */
  readonly programs = signal<readonly InspectProgramView[] | undefined>(undefined);
  readonly problem = signal<string | undefined>(undefined);
  /** The program that is shown: the one of the address, else the first. */
  readonly chosen = signal<string | undefined>(undefined);
  readonly actors = signal<readonly InspectActorView[]>([]);
  readonly history = signal(NO_HISTORY);
  /** There are frames before those that are loaded. */
  readonly older = signal(false);
  readonly machines = signal<ReadonlyMap<string, MachineDefinition>>(new Map());
  readonly cursor = signal<Cursor>("live");

  readonly program = computed(() => {
    const all = this.programs.value ?? [];
    return all.find(({ id }) => id === this.chosen.value) ?? (this.chosen.value === undefined ? all[0] : undefined);
  });
  readonly position = computed(() => positionOf(this.history.value, this.cursor.value));
  readonly frame = computed(() => this.history.value.frames[this.position.value]);

  #abort = new AbortController();
  #shown: string | undefined;
  #revision = 0;
  #asking = false;
  #askAgain = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stopped = true;

  /** Returns how to stop it. */
  start(): () => void {
    this.#stopped = false;
    this.#abort = new AbortController();
    const unwatch = watch("inspect", (...[event]) => {
      if (event === "inspect" || event === "hello" || event === "reset") this.refresh();
    });
    this.refresh();
    return () => {
      this.#stopped = true;
      this.#abort.abort();
      this.#asking = false;
      clearTimeout(this.#timer);
      unwatch();
    };
  }

  choose(program: string | undefined): void {
    if (program === this.chosen.value) return;
    this.chosen.value = program;
    this.refresh();
  }

  refresh(): void {
    if (this.#stopped) return;
    this.#askAgain = true;
    if (this.#asking) return;
    this.#asking = true;
    this.#askAgain = false;
    clearTimeout(this.#timer);
    const { signal: abort } = this.#abort;
    void this.#ask(abort).then((fine) => {
      if (abort.aborted) return;
      this.#timer = setTimeout(
        () => {
          this.#asking = false;
          if (this.#askAgain || !fine) this.refresh();
        },
        fine ? PAUSE_MS : RETRY_MS,
      );
    });
  }

  async loadOlder(): Promise<void> {
    const [first] = this.history.value.frames;
    const program = this.#shown;
    if (first === undefined || program === undefined) return;
    try {
      const { items, more } = await inspectApi.frames({ program, before: first.seq, size: PAGE }, this.#abort.signal);
      if (program !== this.#shown) return;
      batch(() => {
        this.history.value = withFrames(this.history.value, items);
        this.older.value = more && this.history.value.frames.length < MOST_FRAMES;
      });
    } catch (error) {
      if (!isAbort(error)) this.problem.value = describeError(error);
    }
  }

  /** Throws ApiError. */
  async forget(program: string): Promise<void> {
    await inspectApi.forget(program);
    this.programs.value = this.programs.value?.filter(({ id }) => id !== program);
    this.refresh();
  }

  // ---------------------------------------------------------------- the cursor

  goTo(cursor: Cursor): void {
    this.cursor.value = cursor;
  }

  step(by: number): void {
    this.cursor.value = moved(this.history.value, this.cursor.value, by);
  }

  goStart(): void {
    this.cursor.value = this.history.value.frames[0]?.seq ?? "live";
  }

  /** False where it is worth trying again soon. */
  async #ask(abort: AbortSignal): Promise<boolean> {
    try {
      const { items } = await inspectApi.programs(abort);
      this.programs.value = items;
      const program = this.program.value;
      if (program?.id !== this.#shown) this.#show(program?.id);
      if (program !== undefined) await this.#askProgram(program.id, abort);
      this.problem.value = undefined;
      return true;
    } catch (error) {
      if (isAbort(error)) return true;
      // Let go between two questions.
      if (error instanceof ApiError && error.status === 404) return false;
      this.problem.value = describeError(error);
      return false;
    }
  }

  #show(program: string | undefined): void {
    const another = this.#shown !== undefined;
    this.#shown = program;
    this.#revision = 0;
    batch(() => {
      this.actors.value = [];
      this.history.value = NO_HISTORY;
      this.older.value = false;
      this.machines.value = new Map();
      // The first one may be shown at the place that the address names.
      if (another) this.cursor.value = "live";
    });
  }

  async #askProgram(program: string, abort: AbortSignal): Promise<void> {
    const first = this.#revision === 0;
    const [{ items: actors }, frames] = await Promise.all([
      inspectApi.actors(program, abort),
      inspectApi.frames(first ? { program, size: PAGE } : { program, after: this.#revision, size: PAGE * 5 }, abort),
    ]);
    this.#revision = frames.revision;
    if (!first && frames.more) this.#askAgain = true;
    batch(() => {
      this.actors.value = actors;
      this.history.value = withFrames(this.history.value, frames.items, MOST_FRAMES);
      if (first) this.older.value = frames.more;
    });
    const missing = new Set(actors.flatMap(({ machine }) => machine ?? []).filter((hash) => !this.machines.value.has(hash)));
    if (missing.size === 0) return;
    const machines = await Promise.all([...missing].map((hash) => inspectApi.machine(program, hash, abort)));
    this.machines.value = new Map([...this.machines.value, ...machines.map((machine) => [machine.hash, machine] as const)]);
  }
}
