/**
 * The workflow versions that an engine node knows, compiled: machine, key expressions, which steps feed which. Versions
 * take effect at a position of the events stream, so that the same event starts the same runs however often it is read.
 */
import { compileRunMachine } from "../../machines/run/compile.ts";
import { createStepper, type Stepper } from "../step/stepper.ts";
import { createEventIndex, type EventIndex } from "../workflow/event-pattern.ts";
import { compileKeyExpression, type KeyExpression } from "../workflow/expression.ts";
import type { WorkflowSpec } from "../workflow/spec.ts";

export class CompiledWorkflow {
  readonly spec: WorkflowSpec;
  /** Stream sequence of its registration: it is in force for later events. */
  readonly since: number;
  readonly registeredAt: number;
  /** By index of the limit; undefined where a worker computes the key. */
  readonly keys: readonly (KeyExpression | undefined)[];
  readonly hasFunctionKeys: boolean;
  /** For each step, all the steps whose outputs it may read. */
  readonly ancestors: Readonly<Record<string, readonly string[]>>;
  #stepper: Stepper | undefined = undefined;

  constructor(spec: WorkflowSpec, since: number, registeredAt: number) {
    this.spec = spec;
    this.since = since;
    this.registeredAt = registeredAt;
    this.keys = spec.limits.map((limit) => (limit.key.kind === "cel" ? compileKeyExpression(limit.key.expression) : undefined));
    this.hasFunctionKeys = this.keys.includes(undefined);
    this.ancestors = ancestorsOf(spec);
  }

  get name(): string {
    return this.spec.name;
  }

  get stepper(): Stepper {
    this.#stepper ??= createStepper(compileRunMachine(this.spec));
    return this.#stepper;
  }
}

export class Workflows {
  readonly #versions = new Map<string, Map<string, CompiledWorkflow>>();
  readonly #latest = new Map<string, CompiledWorkflow>();
  #index: EventIndex<CompiledWorkflow> | undefined = undefined;

  /** Adds a version, or moves it to a later position where it is registered again. */
  add(spec: WorkflowSpec, since: number, registeredAt: number): CompiledWorkflow {
    const versions = this.#versions.get(spec.name) ?? new Map<string, CompiledWorkflow>();
    this.#versions.set(spec.name, versions);
    const known = versions.get(spec.version);
    if (known !== undefined && known.since >= since) return known;
    const workflow = new CompiledWorkflow(spec, since, registeredAt);
    versions.set(spec.version, workflow);
    const latest = this.#latest.get(spec.name);
    if (latest === undefined || latest.since <= since) this.#latest.set(spec.name, workflow);
    this.#index = undefined;
    return workflow;
  }

  get(name: string, version: string): CompiledWorkflow | undefined {
    return this.#versions.get(name)?.get(version);
  }

  /** The version that new runs get. */
  latest(name: string): CompiledWorkflow | undefined {
    return this.#latest.get(name);
  }

  get all(): readonly CompiledWorkflow[] {
    return [...this.#latest.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Of all workflows, in the order in which they came into force. */
  get versions(): readonly CompiledWorkflow[] {
    return [...this.#versions.values()].flatMap((versions) => [...versions.values()]).sort((a, b) => a.since - b.since);
  }

  versionsOf(name: string): readonly CompiledWorkflow[] {
    return [...(this.#versions.get(name)?.values() ?? [])].sort((a, b) => a.since - b.since);
  }

  /** Workflows that the event starts, by name, in the versions that were in force at that sequence of the events stream. */
  startedBy(event: string, seq: number): readonly CompiledWorkflow[] {
    return this.#eventIndex()
      .match(event)
      .filter((workflow) => this.#inForce(workflow.name, seq) === workflow);
  }

  #inForce(name: string, seq: number): CompiledWorkflow | undefined {
    const latest = this.#latest.get(name);
    if (latest !== undefined && latest.since < seq) return latest;
    let best: CompiledWorkflow | undefined;
    for (const version of this.#versions.get(name)?.values() ?? [])
      if (version.since < seq && (best === undefined || version.since > best.since)) best = version;
    return best;
  }

  #eventIndex(): EventIndex<CompiledWorkflow> {
    if (this.#index === undefined) {
      this.#index = createEventIndex<CompiledWorkflow>();
      for (const name of [...this.#versions.keys()].sort())
        for (const workflow of this.versionsOf(name)) for (const pattern of workflow.spec.on) this.#index.add(pattern, workflow);
    }
    return this.#index;
  }
}

function ancestorsOf(spec: WorkflowSpec): Record<string, readonly string[]> {
  const found: Record<string, readonly string[]> = {};
  for (const step of spec.steps)
    found[step.name] = [...new Set(step.after.flatMap((parent) => [...(found[parent] ?? []), parent]))];
  return found;
}
