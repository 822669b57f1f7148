/**
 * What must hold at every change of a mix, watched from outside: it keeps its own account of who holds and who waits for the slots of
 * each key, from nothing but the changes that are told and the limits that the mix has set.
 */
import type { RunChangeMessage } from "../../../src/index.ts";
import type { TestSluice } from "../../../src/testing/index.ts";
import type { WorkflowSpec } from "../../../src/workflow/spec.ts";
import type { Act } from "./mix.ts";

interface Waiting {
  readonly id: string;
  readonly priority: number;
  /** Place in the order of arrival. */
  readonly place: number;
  readonly keys: string;
}

interface Account {
  maxRuns: number;
  paused: boolean;
  readonly active: Set<string>;
  readonly waiting: Map<string, Waiting>;
}

interface Standing {
  readonly groups: readonly string[];
  readonly priority: number;
  readonly place: number;
}

const FINAL = new Set(["succeeded", "failed", "cancelled"]);

export class MixInvariants {
  /** What was wrong, in words. */
  readonly problems: string[] = [];
  readonly #limits: ReadonlyMap<string, number>;
  readonly #accounts = new Map<string, Account>();
  readonly #standing = new Map<string, Standing>();
  readonly #ended = new Set<string>();
  #places = 0;

  constructor(specs: readonly WorkflowSpec[]) {
    this.#limits = new Map(specs.flatMap(({ limits }) => limits.map(({ name, maxRuns }) => [name, maxRuns] as const)));
  }

  /** Before the mix does this. */
  readonly onAct = (act: Act): void => {
    if (act.do === "limit") {
      const account = this.#account(`${act.limit} ${act.key}`);
      account.maxRuns = act.maxRuns ?? this.#limits.get(act.limit) ?? 1;
    } else if (act.do === "pause" || act.do === "resume") this.#account(`${act.limit} ${act.key}`).paused = act.do === "pause";
  };

  readonly watch = ({ id, change, at }: RunChangeMessage, kit: TestSluice): void => {
    if (this.#ended.has(id)) this.#problem(at, id, `has the change "${change}" after its end`);
    if (change === "queued") this.#queued(id, kit);
    else if (change === "admitted") this.#admitted(id, at, kit);
    else if (FINAL.has(change)) {
      this.#ended.add(id);
      for (const group of this.#standing.get(id)?.groups ?? []) {
        this.#account(group).active.delete(id);
        this.#account(group).waiting.delete(id);
      }
    }
  };

  #queued(id: string, kit: TestSluice): void {
    // One that waits for its time is not in line yet.
    if (Date.parse(kit.runs.get(id).scheduledAt ?? "") > kit.now()) return;
    const { groups, priority, place } = this.#look(id, kit);
    for (const group of groups) this.#account(group).waiting.set(id, { id, priority, place, keys: groups.join(" + ") });
  }

  #admitted(id: string, at: string, kit: TestSluice): void {
    const { groups, priority, place } = this.#look(id, kit);
    for (const group of groups) {
      const { active, waiting, maxRuns, paused } = this.#account(group);
      waiting.delete(id);
      active.add(id);
      if (paused) this.#problem(at, id, `was admitted by ${group}, which is paused`);
      // A limit that was lowered lets those finish that run, but admits nobody beyond it.
      if (active.size > maxRuns) this.#problem(at, id, `is one of ${active.size} active in ${group}, whose limit is ${maxRuns}`);
      for (const other of waiting.values())
        if (
          // One that needs other slots too may have to wait for those.
          other.keys === groups.join(" + ") &&
          (other.priority > priority || (other.priority === priority && other.place < place))
        )
          this.#problem(at, id, `was admitted by ${group} before ${other.id}, which was before it in line`);
    }
  }

  /** Its keys may not have been known when it was seen before. */
  #look(id: string, kit: TestSluice): Standing {
    const { keys, priority } = kit.runs.get(id);
    const before = this.#standing.get(id);
    const groups = keys.map(({ limit, key }) => `${limit} ${key}`);
    const standing = { groups, priority, place: before?.groups.length === groups.length ? before.place : ++this.#places };
    this.#standing.set(id, standing);
    return standing;
  }

  #account(group: string): Account {
    let account = this.#accounts.get(group);
    if (account === undefined) {
      const maxRuns = this.#limits.get(group.slice(0, group.indexOf(" "))) ?? 1;
      this.#accounts.set(group, (account = { maxRuns, paused: false, active: new Set(), waiting: new Map() }));
    }
    return account;
  }

  #problem(at: string, id: string, what: string): void {
    this.problems.push(`${at} ${id} ${what}`);
  }
}
