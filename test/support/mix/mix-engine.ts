/**
 * Runs a mix through the real engine: a nats-server, an engine node, a worker node and a client, on a clock that stands still until
 * the test moves it. It goes from instant to instant: to the next at which the mix does something, or a timer of engine or
 * handler is due, and goes on when as much has happened there as in the kit. Which of two things happens first is so decided by their
 * times, as in the kit, and never by how fast the machine is.
 */
import { connect as connectNats, type NatsConnection } from "@nats-io/transport-node";
import { vi } from "vitest";
import { systemClock } from "../../../src/clock.ts";
import type { Client, RunEventView, RunView } from "../../../src/index.ts";
import { VirtualClock } from "../../../src/testing/virtual-clock.ts";
import { onCleanup } from "../cleanup.ts";
import { startEngineWorld } from "../engine-world.ts";
import type { Act, Mix } from "./mix.ts";
import { PARTITIONS } from "./mix-kit.ts";
import { type Happening, handlerHappening, happeningOf, type MixResult, type MixRun, resultOf } from "./mix-result.ts";
import { KEYED, type MixWorld, mixWorkflows } from "./mix-workflows.ts";

export interface EngineRunOptions {
  readonly startMs: number;
  readonly slots: number;
  /** What happened in the kit. */
  readonly kit: readonly Happening[];
}

/** Something should happen within this time that happens in a few ms; a machine may be busy. */
const PATIENCE_MS = 15_000;

export async function runInEngine(mix: Mix, { startMs, slots, kit }: EngineRunOptions): Promise<MixResult> {
  const clock = new VirtualClock(startMs);
  const release = holdTime(clock);
  try {
    const seen = new Seen(kit, clock);
    const world: MixWorld = {
      now: clock.now,
      sleep: (ms, signal) => sleep(clock, ms, signal),
      saw: (what, ctx) => seen.add(handlerHappening(clock.now(), what, ctx)),
    };
    const { gridMs, alone } = mix;
    const workflows = mixWorkflows(world, { startMs, gridMs, alone });
    const { client, url } = await startEngineWorld(workflows, { slots, partitions: PARTITIONS });
    client.runs.watch({ change: (change) => seen.add(happeningOf(change)) });
    const nats = await connectNats({ servers: url });
    onCleanup(() => nats.close());
    await passThrough(mix, { clock, seen, client, allIsQuiet: await barrier(client, nats) });
    return resultOf(await allRuns(client), seen.happenings);
  } finally {
    release();
  }
}

interface Passage {
  readonly clock: VirtualClock;
  readonly seen: Seen;
  readonly client: Client;
  readonly allIsQuiet: () => Promise<void>;
}

async function passThrough(mix: Mix, { clock, seen, client, allIsQuiet }: Passage): Promise<void> {
  const startMs = clock.now();
  const calls = new Map<number, string>();
  let next = 0;
  for (;;) {
    const moment = mix.moments[next];
    const actMs = startMs + (moment?.atMs ?? Infinity);
    const atMs = Math.min(actMs, clock.nextDueMs ?? Infinity, startMs + mix.lengthMs);
    clock.moveTo(atMs);
    if (moment !== undefined && atMs === actMs) {
      await Promise.all([publish(client, moment.acts), ...moment.acts.map((act) => carryOut(client, calls, act))]);
      next++;
    }
    await seen.rest();
    await allIsQuiet();
    if (atMs === startMs + mix.lengthMs) return;
  }
}

/**
 * Resolves once all that is under way and that nobody sees has come to its end: every partition answers when all before is in its journal
 * and carried out, and the worker answers behind what it was told.
 */
async function barrier(client: Client, nats: NatsConnection): Promise<() => Promise<void>> {
  const { items } = await client.workers.list();
  const [worker] = items;
  const report = JSON.stringify({ type: "report" });
  return async () => {
    await client.groups.list({ limit: KEYED[0], size: 1 });
    await nats.request(`sluice.work.${worker?.id}`, report);
  };
}

async function publish(client: Client, acts: readonly Act[]): Promise<void> {
  const events = acts.flatMap((act) => {
    if (act.do !== "publish") return [];
    const { event, input: payload, priority } = act;
    return [{ event, payload, ...(priority !== undefined && { priority }) }];
  });
  if (events.length > 0) await client.publishMany(events);
}

async function carryOut(client: Client, calls: Map<number, string>, act: Act): Promise<void> {
  switch (act.do) {
    case "publish":
      return;
    case "run": {
      const { workflow, input, priority, delayMs: delay } = act;
      calls.set(input.n, (await client.run(workflow, input, { priority, delay })).id);
      return;
    }
    case "cancel":
      await client.runs.cancel(calls.get(act.n) ?? "");
      return;
    case "replay":
      await client.runs.replay(calls.get(act.n) ?? "");
      return;
    case "limit":
      await client.groups.update({ limit: act.limit, key: act.key, maxRuns: act.maxRuns });
      return;
    case "pause":
      await client.groups.pause({ limit: act.limit, key: act.key });
      return;
    case "resume":
      await client.groups.resume({ limit: act.limit, key: act.key });
      return;
  }
}

async function allRuns(client: Client): Promise<MixRun[]> {
  const views: RunView[] = [];
  for await (const view of client.runs.list({ size: 500 })) views.push(view);
  const runs: MixRun[] = [];
  const lane = async (): Promise<void> => {
    for (let view = views.pop(); view !== undefined; view = views.pop()) {
      const events: RunEventView[] = [];
      for await (const event of client.runs.events(view.id)) events.push(event);
      runs.push({ view: await client.runs.get(view.id), events });
    }
  };
  await Promise.all(Array.from({ length: 16 }, lane));
  return runs;
}

/** What has happened so far, measured by what happened in the kit until the same instant. */
class Seen {
  readonly happenings: Happening[] = [];
  readonly #kit: readonly Happening[];
  readonly #clock: VirtualClock;
  readonly #counts = { change: 0, start: 0, end: 0 };
  readonly #expected = { change: 0, start: 0, end: 0 };
  #expectedTo = 0;
  /** Where the list was at the last rest, for words. */
  #restedAt = { atMs: 0, own: 0, kit: 0 };
  #check: () => void = () => undefined;

  constructor(kit: readonly Happening[], clock: VirtualClock) {
    this.#kit = kit.toSorted((a, b) => a.atMs - b.atMs);
    this.#clock = clock;
  }

  add(happening: Happening): void {
    this.happenings.push(happening);
    this.#counts[happening.what]++;
    this.#check();
  }

  /** Resolves once as much has happened as in the kit until now. @throws when more happens, or not as much */
  async rest(): Promise<void> {
    const nowMs = this.#clock.now();
    for (; (this.#kit[this.#expectedTo]?.atMs ?? Infinity) <= nowMs; this.#expectedTo++)
      this.#expected[(this.#kit[this.#expectedTo] as Happening).what]++;
    await new Promise<void>((resolve, reject) => {
      const fail = (): void => reject(this.#difference(nowMs));
      const timer = setTimeout(fail, PATIENCE_MS);
      this.#check = () => {
        const { change, start, end } = this.#expected;
        const counts = this.#counts;
        const more = counts.change > change || counts.start > start || counts.end > end;
        if (!more && (counts.change < change || counts.start < start || counts.end < end)) return;
        if (more || this.#sinceRest().some((texts) => texts.length > 0)) fail();
        else {
          this.#restedAt = { atMs: nowMs, own: this.happenings.length, kit: this.#expectedTo };
          resolve();
        }
        clearTimeout(timer);
        this.#check = () => undefined;
      };
      this.#check();
    });
  }

  /** What has happened since the last rest only there, and only here. */
  #sinceRest(): readonly [kit: readonly string[], engine: readonly string[]] {
    const { own, kit } = this.#restedAt;
    const texts = (list: readonly Happening[]): string[] => list.map(({ atMs, what, text }) => `${timeOf(atMs)} ${what} ${text}`);
    const there = texts(this.#kit.slice(kit, this.#expectedTo));
    const here = texts(this.happenings.slice(own));
    return [without(there, here), without(here, there)];
  }

  #difference(nowMs: number): Error {
    const [kit, engine] = this.#sinceRest();
    return new Error(
      `at ${timeOf(nowMs)}, after a rest at ${timeOf(this.#restedAt.atMs)}, something else happens than in the kit\n` +
        `  only in the kit: ${JSON.stringify(kit)}\n  only in the engine: ${JSON.stringify(engine)}`,
    );
  }
}

function sleep(clock: VirtualClock, ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const cancel = clock.setTimer(resolve, ms);
    signal?.addEventListener("abort", () => {
      cancel();
      reject(signal.reason as Error);
    });
  });
}

/**
 * From now on everything in this process that is meant by virtual time takes it from this clock: partitions, the execution of steps, what
 * they write down. Connections, leases and heartbeats go on in real time. The returned function ends that.
 */
function holdTime(clock: VirtualClock): () => void {
  const now = vi.spyOn(Date, "now").mockImplementation(clock.now);
  const setTimer = vi.spyOn(systemClock, "setTimer").mockImplementation(clock.setTimer);
  const elapsed = vi.spyOn(systemClock, "elapsed").mockImplementation(clock.now);
  return () => {
    now.mockRestore();
    elapsed.mockRestore();
    setTimer.mockRestore();
  };
}

function timeOf(atMs: number): string {
  return new Date(atMs).toISOString().slice(11, -1);
}

/** What is in the list beyond what is in the other, each as often as it is more often there. */
function without(list: readonly string[], other: readonly string[]): string[] {
  const left = [...other];
  return list.filter((text) => {
    const at = left.indexOf(text);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
}
