/** What holds after every input, whatever came before. */
import type { RunContext } from "../../machines/run/context.ts";
import { hasRoom } from "../../machines/group/index.ts";
import { decodeBatch } from "../../src/engine/facts.ts";
import type { PartitionCore } from "../../src/engine/partition-core.ts";
import type { Run } from "../../src/engine/run.ts";
import type { Side } from "./recovery-world.ts";

export class Invariants {
  readonly #core: PartitionCore;
  /** Active runs of each group after the input before. */
  #active = new Map<string, number>();
  /** Runs that waited after the input before. */
  #waiting = new Set<Run>();
  /** What is recorded of steps that have ended, by run and step. */
  readonly #ended = new Map<string, string>();
  readonly #trace: string[] = [];

  constructor(core: PartitionCore) {
    this.#core = core;
  }

  check(side: Side, label: string, text: string | undefined): void {
    this.#trace.push(label);
    const before = this.#active;
    this.#active = new Map();
    for (const group of this.#core.groups) {
      const { active, maxRuns } = group.context;
      this.#active.set(group.id, active.size);
      // Only a cut leaves more than there may be, and then nobody is admitted.
      this.#expect(
        active.size <= Math.max(maxRuns, before.get(group.id) ?? 0),
        `${group.id} has ${active.size} active runs of ${maxRuns}`,
      );
      this.#expect(group.context.proposed === undefined, `${group.id} has an open proposal`);
      this.#expect(!group.idle, `${group.id} is idle and still there`);
    }
    for (const run of this.#core.runs.values()) this.#checkRun(run);
    this.#checkFacts(text);
    this.#waiting = new Set([...this.#core.runs.values()].filter(({ phase }) => phase === "waiting"));
    const live = [...this.#core.runs.values()].flatMap((run) =>
      [...(run.live?.attempts.values() ?? [])].filter(({ over }) => !over).map(({ id }) => id),
    );
    this.#expect(
      live.sort().join() === [...side.slots.held.keys()].sort().join(),
      `the slots held are ${[...side.slots.held.keys()].join()}, the attempts ${live.join()}`,
    );
    this.#expect(side.slots.reserved === 0, "a slot is reserved and not used");
  }

  #checkRun(run: Run): void {
    this.#checkSteps(run);
    if (run.phase === "active")
      for (const group of run.groups)
        this.#expect(group.context.active.has(run), `${run.run} is active without a slot in ${group.id}`);
    if (run.phase !== "waiting") return;
    this.#expect(
      run.groups.some((group) => !hasRoom(group.context)),
      `${run.run} waits although there is room`,
    );
    for (const group of run.groups)
      this.#expect(group.context.waiting.has(run) !== group.context.held.has(run), `${run.run} is not in line in ${group.id}`);
  }

  /** One result is recorded per step. */
  #checkSteps(run: Run): void {
    const { steps } = (run.live?.snapshot.context ?? { steps: {} }) as RunContext;
    for (const [name, step] of Object.entries(steps)) {
      if (step.status === undefined || step.status === "open") continue;
      const id = `${run.run} ${name}`;
      const now = JSON.stringify(step);
      const before = this.#ended.get(id);
      this.#expect(before === undefined || before === now, `step ${id} has ended twice: ${before}, then ${now}`);
      this.#ended.set(id, now);
    }
  }

  /** Order within a key and priority. */
  #checkFacts(text: string | undefined): void {
    for (const fact of text === undefined ? [] : decodeBatch(text).f) {
      if (fact.k !== "admitted" && (fact.k !== "created" || fact.phase !== "active")) continue;
      const run = this.#core.runs.get(fact.run);
      const [group] = run?.groups ?? [];
      if (run === undefined || group === undefined || run.gated) continue;
      for (const other of group.context.waiting)
        this.#expect(
          !this.#waiting.has(other as Run) ||
            other.gated ||
            other.priority < run.priority ||
            (other.priority === run.priority && other.order > run.order),
          `${run.run} was admitted before ${other.run}`,
        );
    }
  }

  #expect(holds: boolean, what: string): void {
    if (!holds) throw new Error(`${what}, after\n${this.#trace.join("\n")}`);
  }
}
