/**
 * Random programs of inputs to a partition. A command is three numbers; what it means is found out from the state that it meets,
 * so that most commands of a random program do something. Once resolved, an input means the same for every side.
 */
import fc from "fast-check";
import type { PartitionCore } from "../../src/engine/partition-core.ts";
import type { Attempt, Creation, ReadyStep, Run } from "../../src/engine/run.ts";
import type { StepResult } from "../../src/protocol/work.ts";
import { KEYED, LIMITS, MIXED, START_MS, STRATEGIES, type LimitName, type Registry, type Side } from "./recovery-world.ts";

export const KINDS = {
  create: 14,
  event: 6,
  assign: 10,
  finish: 12,
  late: 1,
  lose: 2,
  time: 5,
  cancel: 2,
  keys: 4,
  group: 2,
  rules: 1,
  version: 1,
  confirm: 1,
  inbox: 1,
} as const;
export type Kind = keyof typeof KINDS;

export interface Command {
  readonly do: Kind;
  readonly a: number;
  readonly b: number;
  readonly c: number;
}

const nat = fc.nat(999);
export const anyCommand: fc.Arbitrary<Command> = fc.record({
  do: fc.oneof(...Object.entries(KINDS).map(([kind, weight]) => ({ weight, arbitrary: fc.constant(kind as Kind) }))),
  a: nat,
  b: nat,
  c: nat,
});

export interface Input {
  readonly label: string;
  readonly apply: (core: PartitionCore) => void;
}

const KEYS = ["x", "y"];
const DELAYS_MS = [1, 400, 1_000, 2_500, 7_000, 20_000, 130_000];

/** What a program has done so far, beyond the state of the partition. */
export class Program {
  readonly registry: Registry;
  nowMs = START_MS;
  #runs = 0;
  #seq = 0;
  #inbox = 0;
  readonly #results: StepResult[] = [];
  readonly #created = new Map<string, Creation>();
  readonly #names: readonly string[];

  /** `names`: the workflows that are used. Few of them meet more often. */
  constructor(registry: Registry, names: readonly string[]) {
    this.registry = registry;
    this.#names = names;
  }

  /** Undefined: the state offers nothing of this kind. */
  resolve({ do: kind, a, b, c }: Command, side: Side): Input | undefined {
    const { core } = side;
    switch (kind) {
      case "create": {
        // Now and then a run is created that is there.
        const there =
          c % 9 === 0
            ? pick(
                [...this.#created.values()].filter(({ run }) => core.runs.has(run)),
                a,
              )
            : undefined;
        const creation = there ?? this.#creation(a, b, c);
        if (creation !== undefined) this.#created.set(creation.run, creation);
        return (
          creation && {
            label: `create ${creation.run} of ${creation.workflow.name} ${creation.input?.slice(0, 30)} priority ${creation.priority ?? 0} at ${creation.notBefore ?? "once"}`,
            apply: (to) => {
              to.create(creation);
              if (there !== undefined && to.dirty) throw new Error(`${creation.run} was created twice`);
            },
          }
        );
      }
      case "event": {
        const creation = this.#creation(a, b, c);
        if (creation === undefined) return undefined;
        // Now and then the source repeats itself.
        const repeated = c % 5 === 0 && this.#seq > 0;
        const position = repeated ? ([this.#seq, 0] as const) : ([++this.#seq, a % 2] as const);
        return {
          label: `event ${position.join(".")}: ${creation.run} of ${creation.workflow.name}`,
          apply: (to) => {
            const accepted = to.accept("events", position, { ...creation, event: { name: "e", seq: position[0] } });
            if (accepted === repeated)
              throw new Error(`event ${position.join(".")} was ${repeated ? "taken twice" : "not taken"}`);
          },
        };
      }
      case "assign": {
        const step = pick(readySteps(core), a);
        if (step === undefined) return undefined;
        const worker = `w${1 + (b % 2)}`;
        return {
          label: `assign ${step.step} of ${step.run.run} to ${worker}`,
          apply: (to) => void to.assign(sameStep(to, step), worker),
        };
      }
      case "finish": {
        const result = this.#result(pick([...side.slots.held.values()], a), b);
        if (result === undefined) return undefined;
        this.#results.push(result);
        return { label: `${result.outcome} ${result.attemptId}`, apply: (to) => void to.result(result) };
      }
      case "late": {
        const result = pick(this.#results, a);
        return result && { label: `again ${result.outcome} ${result.attemptId}`, apply: (to) => void to.result(result) };
      }
      case "lose": {
        const attempt = pick([...side.slots.held.values()], a);
        if (attempt === undefined) return undefined;
        const how = b % 3 === 0 ? "returned" : "lost";
        const run = runOf(attempt);
        return { label: `${how} ${attempt.id}`, apply: (to) => to.giveBack(run, attempt.id, how) };
      }
      case "time": {
        const ms = DELAYS_MS[a % DELAYS_MS.length] ?? 1;
        return this.wait(ms);
      }
      case "cancel": {
        const run = pick([...core.runs.keys()], a);
        return run === undefined ? undefined : { label: `cancel ${run}`, apply: (to) => void to.cancel(run) };
      }
      case "keys":
        return this.#keys(core, a, b);
      case "group": {
        const limit = pick(LIMITS, a) ?? "L0";
        const key = pick(limit === "L3" ? ["all"] : KEYS, b) ?? "";
        if (this.registry.placement.ofGroup(limit, key) !== core.partition) return undefined;
        const change = pick(
          [{ paused: true }, { paused: false }, { maxRuns: 1 }, { maxRuns: 3 }, { maxRuns: null }, { paused: false, maxRuns: 2 }],
          c,
        );
        return (
          change && {
            label: `group ${limit} ${key} ${JSON.stringify(change)}`,
            apply: (to) => void to.setGroup(limit, key, change),
          }
        );
      }
      case "rules":
        return this.#rules(a, b, c);
      case "version": {
        const name = pick(this.#names, a);
        if (name === undefined) return undefined;
        const workflow = this.registry.register(name);
        return {
          label: `register ${name} ${workflow.spec.version}`,
          apply: (to) => void (this.registry.placement.homeOf(name) === to.partition && to.setCrons(workflow)),
        };
      }
      case "confirm": {
        const moved = pick(
          [...core.runs.values()].flatMap(({ rest }) => rest?.moved ?? []),
          a,
        );
        return moved && { label: `confirmed ${moved.n} by ${moved.to}`, apply: (to) => to.confirmed(moved.to, moved.n) };
      }
      case "inbox": {
        const seq = (this.#inbox += 1 + (a % 3));
        return { label: `inbox ${seq}`, apply: (to) => to.readInbox(seq) };
      }
    }
  }

  /** What workers and other partitions would do next, all going well; undefined when nothing is asked of them. */
  serve(side: Side): Input | undefined {
    const nothing = { a: 1, b: 9, c: 0 };
    for (const kind of ["confirm", "keys", "assign", "finish"] as const) {
      const input = this.resolve({ do: kind, ...nothing }, side);
      if (input !== undefined) return input;
    }
    return undefined;
  }

  wait(ms: number): Input {
    this.nowMs += ms;
    return { label: `${ms} ms pass`, apply: (to) => void to.fireTimers(10_000) };
  }

  #creation(a: number, b: number, c: number): Creation | undefined {
    const name = pick(this.#names, a) ?? "free";
    const workflow = this.registry.workflows.latest(name);
    if (workflow === undefined) return undefined;
    const key = c % 11 === 0 ? undefined : pick(KEYS, b);
    const large = c % 13 === 0;
    const input = JSON.stringify({ ...(key !== undefined && { k: key }), ...(large && { text: "long ".repeat(120) }) });
    return {
      run: `r${++this.#runs}`,
      workflow,
      createdAt: this.nowMs - (c % 3),
      input,
      ...(large && { ref: { stream: "s", seq: this.#runs } }),
      ...(c % 4 === 0 && { priority: (c % 3) - 1 }),
      ...(c % 7 === 0 && { notBefore: this.nowMs + (DELAYS_MS[b % DELAYS_MS.length] ?? 1) }),
      ...(c % 5 === 0 && { metadata: { m: c } }),
    };
  }

  #result(attempt: Attempt | undefined, b: number): StepResult | undefined {
    if (attempt === undefined) return undefined;
    const { id: attemptId, step, worker } = attempt;
    const base = { attemptId, run: runOf(attempt), step, worker, startedAt: this.nowMs - 3, finishedAt: this.nowMs - 1 };
    switch (b % 10) {
      case 0:
      case 1:
        return { ...base, outcome: "failed", error: { name: "Error", message: "no luck" } };
      case 2:
        return { ...base, outcome: "failed", error: { name: "Error", message: "never", retryable: false } };
      case 3:
        return { ...base, outcome: "stopped" };
      case 4:
        return { ...base, outcome: "returned", reason: "shutdown" };
      default:
        return { ...base, outcome: "succeeded", output: { n: b } };
    }
  }

  #keys(core: PartitionCore, a: number, b: number): Input | undefined {
    const heads = [KEYED, MIXED].map((name) => core.keyingHead(name, 1 + (b % 3))).filter((head) => head.length > 0);
    const head = pick(heads, a);
    if (head === undefined) return undefined;
    const answers = head.map((run, index) => {
      if ((a + index) % 9 === 0) return { run: run.run, error: { name: "Error", message: "no key", code: "KEY_FAILED" } };
      return {
        run: run.run,
        keys: Object.fromEntries(
          run.workflow.spec.limits.flatMap((limit, i) => (limit.key.kind === "function" ? [[i, keyOf(run, b + index)]] : [])),
        ),
      };
    });
    return { label: `keys of ${head.map(({ run }) => run).join()}`, apply: (to) => to.keyed(answers) };
  }

  #rules(a: number, b: number, c: number): Input | undefined {
    const limit = pick(LIMITS, a);
    const strategy = pick(STRATEGIES, b);
    if (limit === undefined || strategy === undefined) return undefined;
    const rules = { maxRuns: 1 + (c % 3), strategy };
    this.registry.rules[limit as LimitName] = rules;
    return {
      label: `rules of ${limit}: ${rules.maxRuns} ${strategy}`,
      apply: (to) => {
        if (to.groups.rules.has(limit)) to.setRules(limit, rules);
      },
    };
  }
}

function keyOf(run: Run, b: number): unknown {
  if (b % 17 === 0) return 42;
  return KEYS[(run.run.length + b) % KEYS.length];
}

export function readySteps(core: PartitionCore): ReadyStep[] {
  return [...core.runs.values()]
    .flatMap(({ live }) => [...(live?.ready.values() ?? [])])
    .sort((a, b) => a.order - b.order || (a.step < b.step ? -1 : 1));
}

/** The same step as another side has it. */
function sameStep(core: PartitionCore, step: ReadyStep): ReadyStep {
  return core.runs.get(step.run.run)?.live?.ready.get(step.step) ?? step;
}

function runOf({ id, step }: Attempt): string {
  return id.slice(0, id.lastIndexOf(`.${step}.`));
}

export function pick<T>(from: readonly T[], n: number): T | undefined {
  return from[n % from.length];
}
