/**
 * Which partition a run belongs to. All the groups that one run needs live in one partition, so that their slots are taken
 * together without any protocol between partitions: a limit that is only ever used alone is spread by key; limits that runs
 * hold together (a domain) share one partition. Pure.
 */
import type { WorkflowSpec } from "../workflow/spec.ts";

/** FNV-1a over UTF-16 code units, finished so that neighbouring keys spread. It decides where data lies: it may never change. */
export function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    value ^= text.charCodeAt(i);
    value = Math.imul(value, 0x01000193);
  }
  value ^= value >>> 15;
  value = Math.imul(value, 0x2c1b3c6d);
  value ^= value >>> 12;
  return value >>> 0;
}

/** Where the groups of a limit live: spread by their keys, or all in the partition of a domain. */
export type Home = "by key" | { readonly domain: string };

export class Placement {
  readonly partitions: number;
  readonly #homes = new Map<string, Home>();
  #moving: ReadonlySet<string> = new Set();

  /** `homes` as `toJSON` gave them. */
  constructor(partitions: number, homes: Readonly<Record<string, Home>> = {}) {
    this.partitions = partitions;
    this.setHomes(homes);
  }

  toJSON(): Record<string, Home> {
    return Object.fromEntries(this.#homes);
  }

  /**
   * The homes that the limits of a workflow need and do not have yet: `fresh` ones are new limits, `moved` ones were in use
   * elsewhere, where a live group would be counted twice. Nothing is changed.
   */
  plan(spec: WorkflowSpec): { readonly fresh: ReadonlyMap<string, Home>; readonly moved: ReadonlyMap<string, Home> } {
    const names = [...new Set(spec.limits.map((limit) => limit.name))];
    const fresh = new Map<string, Home>();
    const moved = new Map<string, Home>();
    const [only] = names;
    if (names.length === 1 && only !== undefined) {
      if (!this.#homes.has(only)) fresh.set(only, "by key");
      return { fresh, moved };
    }
    const domains = new Set<string>();
    for (const name of names) {
      const home = this.#homes.get(name);
      if (home !== undefined && home !== "by key") domains.add(home.domain);
    }
    const domain = [...domains].sort()[0] ?? [...names].sort()[0];
    if (domain === undefined) return { fresh, moved };
    const home: Home = { domain };
    for (const name of names) {
      const old = this.#homes.get(name);
      if (old === undefined) fresh.set(name, home);
      else if (old === "by key") moved.set(name, home);
    }
    for (const [name, old] of this.#homes)
      if (old !== "by key" && old.domain !== domain && domains.has(old.domain)) moved.set(name, home);
    return { fresh, moved };
  }

  setHomes(homes: Readonly<Record<string, Home>>): void {
    for (const [limit, home] of Object.entries(homes)) this.setHome(limit, home);
  }

  setHome(limit: string, home: Home): void {
    this.#homes.set(limit, home);
  }

  /** Limits that are about to get another home: until it is decided, no run may come to a group of theirs, here or there. */
  get moving(): ReadonlySet<string> {
    return this.#moving;
  }

  setMoving(limits: Iterable<string>): void {
    this.#moving = new Set(limits);
  }

  isMoving(spec: WorkflowSpec): boolean {
    return this.#moving.size > 0 && spec.limits.some(({ name }) => this.#moving.has(name));
  }

  /** Where things that have no key yet are kept: schedules, cron, runs that wait for a worker to compute their key. */
  homeOf(workflow: string): number {
    return hash(workflow) % this.partitions;
  }

  /** Partition of a run, given its keys by index of the limit. Without limits any will do: it is spread by `id`. */
  partitionOf(spec: WorkflowSpec, id: string, keys: readonly string[]): number {
    const limit = spec.limits[0];
    if (limit === undefined) return hash(id) % this.partitions;
    return this.ofGroup(limit.name, keys[0] ?? "");
  }

  ofGroup(limit: string, key: string): number {
    const home = this.#homes.get(limit) ?? "by key";
    return hash(home === "by key" ? `${limit} ${key}` : home.domain) % this.partitions;
  }
}
