/**
 * A day's mix of everything, made from a seed: what users, programs and operators do, and when. Quiet hours, busy ones, bursts. At
 * one instant nothing is done twice to one domain (the keys that can be held together), so that the order in which a real
 * system comes to look at what happens at one instant decides nothing.
 */
import { KEYED, type MixInput, STARTED_BY, type StepPlan, TANGLED } from "./mix-workflows.ts";

export type Act =
  | { readonly do: "publish"; readonly event: string; readonly input: MixInput; readonly priority?: number }
  | {
      readonly do: "run";
      readonly workflow: string;
      readonly input: MixInput;
      readonly priority?: number;
      readonly delayMs?: number;
    }
  /** Of a run that was started by a call, by its `n`. */
  | { readonly do: "cancel" | "replay"; readonly n: number }
  | { readonly do: "limit"; readonly limit: string; readonly key: string; readonly maxRuns: number | null }
  | { readonly do: "pause" | "resume"; readonly limit: string; readonly key: string };

export interface Mix {
  readonly seed: number;
  /** After its beginning. Everything should have ended by then. */
  readonly lengthMs: number;
  readonly gridMs: number;
  readonly alone: boolean;
  /** In order; `atMs` after its beginning. */
  readonly moments: readonly { readonly atMs: number; readonly acts: readonly Act[] }[];
  /** Labels of the runs that there must be in the end, without those of crons. */
  readonly expected: readonly string[];
}

export interface MixOptions {
  readonly seed: number;
  readonly hours: number;
  readonly gridMs: number;
  /** The most that is done at one instant. With 1, handlers too end one at a time. */
  readonly burst: number;
  readonly keys: number;
  /** Share of the instants of a busy hour at which something is done. */
  readonly busy: number;
}

const HOUR_MS = 3_600_000;
const PROFILE = [0.3, 1, 0.1, 0.02, 0.7, 1, 0.2];

/** Random numbers from a seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Started {
  readonly n: number;
  readonly workflow: string;
  readonly domain: string;
}

export function makeMix({ seed, hours, gridMs, burst, keys, busy }: MixOptions): Mix {
  const random = randomFrom(seed);
  const upTo = (max: number): number => Math.floor(random() * max);
  const oneOf = <T>(list: readonly T[]): T => list[upTo(list.length)] as T;
  /** Few keys have most of the runs. */
  const someKey = (): string => `k${Math.floor(keys * random() ** 3)}`;

  const expected: string[] = [];
  const calls: Started[] = [];
  const replayed = new Set<number>();
  const later = new Map<number, { readonly act: Act; readonly domain: string }[]>();
  let count = 0;

  const plan = (workflow: string): StepPlan => ({
    ms: random() < 0.2 ? 1 : 5_000 + upTo(workflow === "timed" ? 60_000 : 90_000),
    ...(random() < 0.15 && { failures: 1 + upTo(3) }),
    ...(random() < 0.05 && { final: true }),
    ...(random() < 0.06 && { deaf: true }),
  });
  const STEPS: Readonly<Record<string, readonly string[]>> = { robin: ["first", "second"], free: ["a", "b", "c", "d"] };
  const inputOf = (workflow: string, key: string, domain: string): MixInput => {
    const steps = Object.fromEntries(
      [...(STEPS[workflow] ?? ["work"]), ...(workflow === "fan" ? ["a", "d"] : [])].map((step) => [step, plan(workflow)]),
    );
    const broken = random() < 0.01;
    return { n: count++, domain, steps, ...(!broken && { key }), ...(random() < 0.1 && { text: "x".repeat(600 + upTo(2_000)) }) };
  };
  const domainOf = (limit: string, key: string): string =>
    ["user", "total", "document", "chat", ...TANGLED].includes(limit) ? "tangled" : `${limit} ${key}`;

  const start = (): { readonly act: Act; readonly domain: string } => {
    const name = random() < 0.7 ? oneOf(KEYED) : oneOf([...TANGLED, "free", burst === 1 ? "free" : "fan"]);
    const key = someKey();
    const domain = name === "free" ? `free ${count}` : domainOf(name === "fan" ? "replace" : name, key);
    const input = inputOf(name, key, domain);
    const priority = random() < 0.2 ? { priority: upTo(5) - 2 } : {};
    if (name !== "free" && name !== "fan" && random() < 0.4) {
      calls.push({ n: input.n, workflow: name, domain });
      const delay = random() < 0.15 ? { delayMs: 1_000 * (1 + upTo(1_200)) + 900 } : {};
      expected.push(`${name} ${input.n}`);
      return { act: { do: "run", workflow: name, input, ...priority, ...delay }, domain };
    }
    for (const workflow of STARTED_BY[`mix.${name}`] ?? [name]) expected.push(`${workflow} ${input.n}`);
    return { act: { do: "publish", event: `mix.${name}`, input, ...priority }, domain };
  };
  const group = (): { readonly limit: string; readonly key: string; readonly domain: string } => {
    const limit = oneOf([...KEYED, ...KEYED, "user", "document", "chat", "total"]);
    const key = limit === "total" ? "all" : someKey();
    return { limit, key, domain: domainOf(limit, key) };
  };

  const moments: { readonly atMs: number; readonly acts: readonly Act[] }[] = [];
  const last = Math.floor(((hours - 1) * HOUR_MS) / gridMs);
  for (let i = 1; i <= last; i++) {
    const atMs = i * gridMs + gridMs / 2;
    const acts: Act[] = [];
    const domains = new Set<string>();
    const add = ({ act, domain }: { readonly act: Act; readonly domain: string }): boolean => {
      if (domains.has(domain)) return false;
      domains.add(domain);
      acts.push(act);
      return true;
    };
    for (const due of later.get(i) ?? []) if (!add(due)) later.set(i + 1, [...(later.get(i + 1) ?? []), due]);
    const load = PROFILE[Math.floor(atMs / HOUR_MS) % PROFILE.length] ?? 0;
    const many = random() < load * busy ? 1 + upTo(random() < 0.2 ? burst : Math.ceil(burst / 2)) : 0;
    for (let k = 0; k < many && acts.length < burst; k++) {
      const kind = random();
      if (kind < 0.78) {
        const before = [count, expected.length, calls.length] as const;
        if (!add(start())) [count, expected.length, calls.length] = before;
      } else if (kind < 0.9) {
        const target = calls.at(-1 - upTo(25));
        if (target !== undefined) add({ act: { do: "cancel", n: target.n }, domain: target.domain });
      } else if (kind < 0.92) {
        const target = calls.at(-1 - upTo(200));
        if (target === undefined || replayed.has(target.n) || !add({ act: { do: "replay", n: target.n }, domain: target.domain }))
          continue;
        replayed.add(target.n);
        expected.push(`${target.workflow} ${target.n} again`);
      } else if (kind < 0.96) {
        const { domain, ...id } = group();
        add({ act: { do: "limit", ...id, maxRuns: random() < 0.3 ? null : 1 + upTo(4) }, domain });
      } else {
        const { domain, ...id } = group();
        if (!add({ act: { do: "pause", ...id }, domain })) continue;
        const until = Math.min(last, i + 1 + upTo(30));
        later.set(until, [...(later.get(until) ?? []), { act: { do: "resume", ...id }, domain }]);
      }
    }
    if (acts.length > 0) moments.push({ atMs, acts });
  }
  // What could not be resumed at its instant for another thing done to its domain.
  const rest = [...later].filter(([i]) => i > last).flatMap(([, due]) => due);
  for (const [k, { act }] of rest.entries()) moments.push({ atMs: (last + 1 + k) * gridMs + gridMs / 2, acts: [act] });
  return { seed, lengthMs: hours * HOUR_MS - gridMs / 2, gridMs, alone: burst === 1, moments, expected };
}
