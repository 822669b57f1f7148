/**
 * What users do to a cluster under chaos: publish events for keyed runs under every strategy, start runs by calls, cancel many, change limits,
 * pause and resume groups. It remembers what it was promised. An event whose acknowledgement was lost is sent again with its id until
 * it is acknowledged.
 */
import { setTimeout as delay } from "node:timers/promises";
import { type Client, connect } from "sluice";
import { pino } from "pino";
import type { ScriptedInput } from "../acceptance/support/scripted.ts";
import { onCleanup } from "../support/cleanup.ts";
import { waitFor } from "../support/wait.ts";
import type { AcceptedRun, AcknowledgedEvent } from "./history.ts";
import { createRandom, type Random } from "./random.ts";

/** Workflows and how often each is chosen. The event is `chaos.<workflow>`. */
const MIX = [
  { workflow: "round-robin", weight: 5 },
  { workflow: "cancel-in-progress", weight: 4 },
  { workflow: "cancel-in-progress-2", weight: 3 },
  { workflow: "cancel-newest", weight: 3 },
  { workflow: "except-newest", weight: 3 },
  { workflow: "except-oldest", weight: 3 },
  { workflow: "two-limits", weight: 4 },
  { workflow: "by-function", weight: 3 },
  { workflow: "diamond", weight: 2 },
] as const;
const KEYS = 5;
/** Without acknowledgement at once; beyond that, nothing new is published. */
const IN_FLIGHT = 400;
const CALL_TIMEOUT = "10s";
const RETRY_MS = 250;

export const keyOf = (number: number): string => `key-${number}`;
/** The limits whose groups are changed and paused, each with the keys of the load. */
export const GROUPS: readonly { readonly limit: string; readonly key: string }[] = [
  ...[
    "round-robin",
    "cancel-in-progress",
    "cancel-in-progress-2",
    "cancel-newest",
    "except-newest",
    "except-oldest",
    "by-function",
    "two-limits-key",
  ].flatMap((limit) => Array.from({ length: KEYS }, (_, number) => ({ limit, key: keyOf(number) }))),
  { limit: "two-limits-total", key: "all" },
];

export class Load {
  readonly acknowledged: AcknowledgedEvent[] = [];
  readonly accepted: AcceptedRun[] = [];
  readonly unsure = new Set<number>();
  readonly doomed = new Set<number>();
  readonly cancelRequested = new Set<string>();
  readonly client: Client;
  readonly #random: Random;
  readonly #inFlight = new Set<Promise<void>>();
  readonly #paused = new Set<string>();
  readonly #changed = new Set<string>();
  #next = 0;
  #publishing = false;
  #giveUp = false;

  private constructor(client: Client, random: Random) {
    this.client = client;
    this.#random = random;
  }

  /** Closed with the test. */
  static async connect(servers: readonly string[], seed: number): Promise<Load> {
    const client = await connect({ servers: [...servers], logger: pino({ level: "silent" }), timeout: CALL_TIMEOUT });
    onCleanup(async () => await client.close());
    return new Load(client, createRandom(seed, "load"));
  }

  /** Publishes so many a second until `stop`. */
  async run(perSecond: number): Promise<void> {
    this.#publishing = true;
    while (this.#publishing) {
      await delay(1_000 / perSecond);
      if (this.#inFlight.size < IN_FLIGHT) this.#one();
    }
  }

  /** Publishes nothing new, and waits until all that was is acknowledged; what is not by then, may have been stored. */
  async stop(timeoutMs: number): Promise<void> {
    this.#publishing = false;
    await waitFor(() => this.#inFlight.size === 0, { timeoutMs, what: "all events to be acknowledged" }).catch(() => undefined);
    this.#giveUp = true;
    await Promise.all(this.#inFlight);
  }

  /** Asks to cancel each of these; whether it came in time, its run shows. */
  async cancel(runs: readonly string[]): Promise<void> {
    for (const run of runs) this.cancelRequested.add(run);
    await this.client.runs.cancelMany(runs).catch(() => undefined);
  }

  /** Gives some groups other limits, or theirs back. */
  async changeLimits(random: Random, count: number): Promise<string> {
    const said: string[] = [];
    for (let i = 0; i < count; i++) {
      const group = random.pick(GROUPS);
      const maxRuns = random.chance(0.3)
        ? null
        : group.limit === "two-limits-total"
          ? random.integer(3, 9)
          : random.integer(1, 4);
      this.#changed.add(JSON.stringify(group));
      const outcome = await this.client.groups.update({ ...group, maxRuns }).then(
        () => "",
        (error: Error) => ` (${error.message})`,
      );
      said.push(`${group.limit}/${group.key} to ${maxRuns ?? "its own"}${outcome}`);
    }
    return said.join(", ");
  }

  async pause(random: Random): Promise<string> {
    const group = random.pick(GROUPS);
    this.#paused.add(JSON.stringify(group));
    await this.client.groups.pause(group).catch(() => undefined);
    return `${group.limit}/${group.key}`;
  }

  async resume(): Promise<void> {
    for (const group of this.#paused)
      await this.client.groups.resume(JSON.parse(group) as (typeof GROUPS)[number]).then(
        () => this.#paused.delete(group),
        () => undefined,
      );
  }

  /** Takes back every pause and change of a limit. */
  async restore(timeoutMs: number): Promise<void> {
    await waitFor(
      async () => {
        await this.resume();
        for (const group of this.#changed) {
          await this.client.groups.update({ ...(JSON.parse(group) as (typeof GROUPS)[number]), maxRuns: null });
          this.#changed.delete(group);
        }
        return this.#paused.size === 0;
      },
      { timeoutMs, what: "groups to be resumed, and to have their own limits" },
    );
  }

  /** A number that no event or call has yet. */
  number(): number {
    return this.#next++;
  }

  #one(): void {
    const n = this.number();
    const { workflow } = this.#random.weighted(MIX);
    const input = this.#input(n);
    const priority = this.#random.chance(0.15) ? this.#random.integer(1, 2) : 0;
    const work = this.#random.chance(0.08)
      ? this.#call(workflow, n, input, priority)
      : this.#publish(workflow, n, input, priority);
    this.#inFlight.add(work);
    void work.finally(() => this.#inFlight.delete(work));
  }

  #input(n: number): ScriptedInput {
    const random = this.#random;
    // Two attempts fail, and the third succeeds; or all three do.
    const failures = random.chance(0.02) ? 3 : random.chance(0.1) ? random.integer(1, 2) : 0;
    if (failures === 3) this.doomed.add(n);
    const long = random.chance(0.05);
    return {
      key: keyOf(random.integer(0, KEYS - 1)),
      n,
      ms: long ? random.integer(1_000, 3_000) : random.integer(10, 250),
      ...(failures > 0 && { failures }),
      ...(long && random.chance(0.3) && { deaf: true }),
    };
  }

  async #publish(workflow: string, n: number, input: ScriptedInput, priority: number): Promise<void> {
    const event = `chaos.${workflow}`;
    while (!this.#giveUp) {
      try {
        const { seq } = await this.client.publish(event, input, { id: `chaos-${n}`, priority });
        this.acknowledged.push({ n, event, seq });
        return;
      } catch {
        await delay(RETRY_MS);
      }
    }
    this.unsure.add(n);
  }

  async #call(workflow: string, n: number, input: ScriptedInput, priority: number): Promise<void> {
    try {
      const run = await this.client.run(workflow, input, { priority });
      this.accepted.push({ n, workflow, run: run.id });
    } catch {
      this.unsure.add(n);
    }
  }
}
