/**
 * What the journals say by themselves: that each is one chain with one owner at a time, and that no group ever admitted a run
 * for which it had no room, while it was paused, or before one that ranked higher. Exact, since a partition's facts have an order.
 */
import type { Strategy } from "../../src/workflow/spec.ts";
import type { Fact } from "../../src/engine/facts.ts";
import type { JournalMessage, Violation, WorkflowRules } from "./history.ts";

/** Owners record themselves with an epoch that grows; journals of one node have none. */
interface OwnerFact {
  readonly k: "owner";
  readonly node?: unknown;
  readonly epoch?: unknown;
}

interface Member {
  readonly run: string;
  readonly priority: number;
  /** Place of arrival at the groups of the partition. */
  readonly order: number;
  readonly groups: readonly string[];
  state: "waiting" | "active" | "over";
}

interface Group {
  maxRuns: number;
  /** One of its own, by an operator. */
  own: number | undefined;
  paused: boolean;
  readonly active: Set<Member>;
  readonly waiting: Set<Member>;
}

/** When a group's limit began to hold. For the check of the handlers. */
export interface LimitChange {
  readonly group: string;
  readonly at: number;
  readonly maxRuns: number;
}

export const groupOf = (limit: string, key: string): string => `${limit} / ${key}`;

export function checkJournal(
  journal: readonly JournalMessage[],
  workflows: readonly WorkflowRules[],
): { readonly violations: Violation[]; readonly changes: LimitChange[] } {
  const violations: Violation[] = [];
  const changes: LimitChange[] = [];
  for (const partition of new Set(journal.map(({ partition }) => partition))) {
    const messages = journal.filter((message) => message.partition === partition);
    violations.push(...checkChain(partition, messages));
    const replay = new GroupReplay(partition, workflows, violations, changes);
    for (const { seq, at, batch } of messages) for (const fact of batch.f) replay.apply(fact, seq, at);
  }
  return { violations, changes };
}

/** Each message was written by somebody who knew the one before it; epochs grow; positions never go back. */
function checkChain(partition: number, messages: readonly JournalMessage[]): Violation[] {
  const violations: Violation[] = [];
  let last = 0;
  let epoch = -Infinity;
  let owner: unknown;
  let inbox = 0;
  for (const { seq, previous, batch } of messages) {
    const broken = (rule: "journal-chain" | "owner-epochs", text: string): void => {
      violations.push({ rule, text: `partition ${partition}, journal message ${seq}: ${text}` });
    };
    if (previous !== last)
      broken("journal-chain", `its writer took ${previous ?? "nothing"} for the message before it, which is ${last}`);
    if (batch.in < inbox) broken("journal-chain", `has read its inbox up to ${batch.in}, the message before it up to ${inbox}`);
    last = seq;
    inbox = batch.in;
    for (const fact of batch.f as readonly (Fact | OwnerFact)[]) {
      if (fact.k !== "owner") continue;
      const { epoch: claimed, node } = fact as OwnerFact;
      // One that could not be sure of its first claim repeats it.
      const isRepeated = claimed === epoch && node === owner;
      if (typeof claimed !== "number" || (claimed <= epoch && !isRepeated))
        broken("owner-epochs", `${String(node)} claims it with epoch ${String(claimed)} after epoch ${epoch}`);
      else epoch = claimed;
      owner = node;
    }
  }
  return violations;
}

class GroupReplay {
  readonly #partition: number;
  readonly #workflows: ReadonlyMap<string, WorkflowRules>;
  readonly #violations: Violation[];
  readonly #changes: LimitChange[];
  readonly #limits = new Map<string, { maxRuns: number; strategy: Strategy }>();
  readonly #groups = new Map<string, Group>();
  readonly #members = new Map<string, Member>();
  readonly #workflowOf = new Map<string, string>();
  readonly #priorityOf = new Map<string, number>();
  #order = 0;

  constructor(partition: number, workflows: readonly WorkflowRules[], violations: Violation[], changes: LimitChange[]) {
    this.#partition = partition;
    this.#workflows = new Map(workflows.map((workflow) => [workflow.name, workflow]));
    this.#violations = violations;
    this.#changes = changes;
    for (const { limits } of workflows)
      for (const { name, maxRuns, strategy } of limits) this.#limits.set(name, { maxRuns, strategy });
  }

  apply(fact: Fact, seq: number, at: number): void {
    switch (fact.k) {
      case "created":
        this.#workflowOf.set(fact.run, fact.wf);
        this.#priorityOf.set(fact.run, fact.pri ?? 0);
        this.#arrive(fact.run, fact.phase, fact.keys, seq);
        return;
      case "phase":
        this.#arrive(fact.run, fact.phase, fact.keys, seq);
        return;
      case "admitted": {
        const member = this.#members.get(fact.run);
        if (member !== undefined) this.#admit(member, seq);
        return;
      }
      case "finished":
      case "moved":
        this.#leave(fact.run);
        return;
      case "limit":
        this.#limits.set(fact.name, { maxRuns: fact.maxRuns, strategy: fact.strategy });
        for (const [name, group] of this.#groups)
          if (name.startsWith(groupOf(fact.name, ""))) {
            group.maxRuns = fact.maxRuns;
            this.#changed(name, group, at);
          }
        return;
      case "group": {
        const name = groupOf(fact.limit, fact.key);
        const group = this.#open(fact.limit, fact.key);
        if (fact.maxRuns !== undefined) group.own = fact.maxRuns ?? undefined;
        if (fact.paused !== undefined) group.paused = fact.paused;
        this.#changed(name, group, at);
        return;
      }
      default:
        return;
    }
  }

  #arrive(run: string, phase: string, keys: readonly string[] | undefined, seq: number): void {
    if (phase !== "waiting" && phase !== "active") return;
    const limits = this.#workflows.get(this.#workflowOf.get(run) ?? "")?.limits ?? [];
    if (limits.length === 0) return;
    const groups = limits.map(({ name }, index) => {
      this.#open(name, keys?.[index] ?? "");
      return groupOf(name, keys?.[index] ?? "");
    });
    const member: Member = { run, priority: this.#priorityOf.get(run) ?? 0, order: ++this.#order, groups, state: "waiting" };
    this.#members.set(run, member);
    if (phase === "active") this.#admit(member, seq);
    else for (const name of groups) this.#groups.get(name)?.waiting.add(member);
  }

  #admit(member: Member, seq: number): void {
    const where = `partition ${this.#partition}, journal message ${seq}`;
    for (const name of member.groups) {
      const group = this.#groups.get(name);
      if (group === undefined) continue;
      const maxRuns = group.own ?? group.maxRuns;
      const said = (rule: Violation["rule"], text: string): void => {
        this.#violations.push({ rule, run: member.run, text: `${where}: run ${member.run} was admitted to ${name} ${text}` });
      };
      if (group.active.size >= maxRuns && !group.active.has(member))
        said(
          "limit-in-journal",
          `beside ${[...group.active].map(({ run }) => run).join(", ")}; at most ${maxRuns} may be active`,
        );
      if (group.paused) said("admitted-while-paused", "while that was paused");
      // Runs that need several limits may wait for another one, and be passed.
      if (member.groups.length === 1)
        for (const other of group.waiting)
          if (other !== member && other.groups.length === 1 && ranksBefore(other, member)) {
            said(
              "order",
              `before run ${other.run}, which ranks higher (priority ${other.priority}, arrival ${other.order}; priority ${member.priority}, arrival ${member.order})`,
            );
            break;
          }
      group.waiting.delete(member);
      group.active.add(member);
    }
    member.state = "active";
  }

  #leave(run: string): void {
    const member = this.#members.get(run);
    if (member === undefined) return;
    member.state = "over";
    this.#members.delete(run);
    for (const name of member.groups) {
      this.#groups.get(name)?.active.delete(member);
      this.#groups.get(name)?.waiting.delete(member);
    }
  }

  #open(limit: string, key: string): Group {
    const name = groupOf(limit, key);
    let group = this.#groups.get(name);
    if (group === undefined) {
      group = {
        maxRuns: this.#limits.get(limit)?.maxRuns ?? 1,
        own: undefined,
        paused: false,
        active: new Set(),
        waiting: new Set(),
      };
      this.#groups.set(name, group);
      this.#changed(name, group, -Infinity);
    }
    return group;
  }

  #changed(name: string, group: Group, at: number): void {
    this.#changes.push({ group: name, at, maxRuns: group.own ?? group.maxRuns });
  }
}

function ranksBefore(a: Member, b: Member): boolean {
  return a.priority === b.priority ? a.order < b.order : a.priority > b.priority;
}
