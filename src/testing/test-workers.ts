/** The workers of a test's Sluice: they join, drain, and die. */
import type { Dispatcher } from "../engine/dispatcher.ts";
import { OptionsError } from "../errors.ts";
import type { StepResult } from "../protocol/work.ts";
import type { WorkflowSpec } from "../workflow/spec.ts";
import type { AnyWorkflow, StepHandler } from "../workflow/workflow.ts";
import { internalsOf } from "../workflow/define.ts";
import type { TestHandlers, TestSluiceSettings } from "./options.ts";
import { TestWorker } from "./test-worker.ts";
import type { VirtualClock } from "./virtual-clock.ts";

export interface TestWorkerView {
  readonly id: string;
  readonly mode: "running" | "draining" | "stopped" | "dead";
  readonly slots: number;
  readonly used: number;
}

export interface AddWorkerOptions {
  /** Default `worker-<n>`. */
  readonly id?: string | undefined;
  /** Default: as many as the first has. */
  readonly slots?: number | undefined;
  /** Default: those of `createTestSluice`. Versions that are new come into force. */
  readonly workflows?: readonly AnyWorkflow[] | undefined;
  /** Default: those of `createTestSluice`. */
  readonly handlers?: TestHandlers | undefined;
}

export interface TestWorkersHost {
  readonly settings: TestSluiceSettings;
  readonly clock: VirtualClock;
  readonly read: (stream: string, seq: number) => string | undefined;
  readonly deliver: (partition: number, result: StepResult) => void;
  readonly onActivity: () => void;
  readonly dispatcher: () => Dispatcher;
  readonly settle: () => Promise<void>;
  readonly register: (spec: WorkflowSpec) => void;
}

export class TestWorkers {
  /** For the engine. */
  readonly all = new Map<string, TestWorker>();
  readonly #host: TestWorkersHost;
  #added = 0;

  constructor(host: TestWorkersHost) {
    this.#host = host;
  }

  /** A worker joins and takes steps. Gives its id. @throws OptionsError: there is one of this id */
  async add(options: AddWorkerOptions = {}): Promise<string> {
    const id = this.join(options);
    await this.#host.settle();
    return id;
  }

  /** The same, without waiting for what follows. */
  join(options: AddWorkerOptions): string {
    const { settings, clock, read, deliver, onActivity, register, dispatcher } = this.#host;
    this.#added++;
    const {
      id = `worker-${this.#added}`,
      slots = settings.slots,
      workflows = settings.workflows,
      handlers = settings.handlers,
    } = options;
    if (this.all.has(id))
      throw new OptionsError(`there is a worker "${id}" already`, { path: "id", expected: "an id that is free", received: id });
    const served = workflows.map((workflow) => withHandlers(workflow, handlers[workflow.name]));
    for (const { spec } of served) register(spec);
    const { deadlineMs, logger } = settings;
    const worker = new TestWorker({ id, slots, workflows: served, deadlineMs, clock, read, deliver, onActivity, logger });
    this.all.set(id, worker);
    onActivity();
    dispatcher().report(worker.status());
    return id;
  }

  /** It drains: takes nothing new, finishes what it has as time passes, and is gone then. */
  async stop(id: string): Promise<void> {
    const worker = this.#get(id);
    if (worker.mode !== "running") return;
    const drained = worker.drain().then(() => {
      if (worker.mode !== "draining") return;
      worker.mode = "stopped";
      this.#host.onActivity();
      this.#host.dispatcher().report(worker.status());
    });
    this.#host.dispatcher().report(worker.status());
    await this.#host.settle();
    void drained;
  }

  /**
   * It dies without a word: what it runs has no effect any more (its handlers never wake from `sleep`), and after the deadline its steps are
   * given to others.
   */
  async kill(id: string): Promise<void> {
    const worker = this.#get(id);
    if (worker.mode === "dead" || worker.mode === "stopped") return;
    worker.mode = "dead";
    this.watch(this.#host.settings.deadlineMs);
    await this.#host.settle();
  }

  /** After that time the engine looks for workers that are silent. Those that live have been heard of until then. */
  watch(afterMs: number): void {
    this.#host.clock.setTimer(() => {
      const dispatcher = this.#host.dispatcher();
      for (const other of this.all.values())
        if (other.mode === "running" || other.mode === "draining") dispatcher.report(other.status());
      dispatcher.expire();
    }, afterMs + 1);
  }

  list(): TestWorkerView[] {
    return [...this.all.values()].map((worker) => ({
      id: worker.id,
      mode: worker.mode,
      slots: worker.status().slots,
      used: worker.used,
    }));
  }

  #get(id: string): TestWorker {
    const worker = this.all.get(id);
    if (worker !== undefined) return worker;
    const expected = `one of ${[...this.all.keys()].join(", ")}`;
    throw new OptionsError(`expected 'id' to be ${expected}, got ${JSON.stringify(id)}`, { path: "id", expected, received: id });
  }
}

/** The same workflow with other handlers for some of its steps. @throws OptionsError: it has no such step */
function withHandlers(workflow: AnyWorkflow, handlers: TestHandlers[string] | undefined): AnyWorkflow {
  const { spec, ...internals } = internalsOf(workflow);
  if (handlers === undefined) return workflow;
  const changed = new Map<string, StepHandler>(internals.handlers);
  for (const [step, handler] of Object.entries(handlers)) {
    if (!changed.has(step)) {
      const expected = `a step of workflow "${spec.name}" (${[...changed.keys()].join(", ")})`;
      throw new OptionsError(`expected 'handlers.${spec.name}.${step}' to be of ${expected}`, {
        path: `handlers.${spec.name}.${step}`,
        expected,
        received: step,
      });
    }
    changed.set(step, handler);
  }
  return { name: workflow.name, spec, "~sluice": { ...internals, handlers: changed } };
}
