/**
 * What a worker can execute, by names: handlers, key functions and schemas of its workflows. The step of another version of a
 * workflow is served by its name too: the run is pinned to its version of the definition, the code is the worker's.
 */
import type { WorkflowSpec } from "../workflow/spec.ts";
import type { AnyWorkflow, StepHandler, WorkflowInternals } from "../workflow/workflow.ts";

export interface ServedWorkflow {
  readonly name: string;
  readonly spec: WorkflowSpec;
  readonly internals: WorkflowInternals;
}

export class HandlerRegistry {
  readonly #workflows = new Map<string, ServedWorkflow>();

  constructor(workflows: readonly AnyWorkflow[]) {
    for (const workflow of workflows) {
      const { spec } = workflow;
      this.#workflows.set(spec.name, { name: spec.name, spec, internals: workflow["~sluice"] });
    }
  }

  workflow(name: string): ServedWorkflow | undefined {
    return this.#workflows.get(name);
  }

  handler(workflow: string, step: string): StepHandler | undefined {
    return this.#workflows.get(workflow)?.internals.handlers.get(step);
  }

  get specs(): readonly WorkflowSpec[] {
    return [...this.#workflows.values()].map(({ spec }) => spec);
  }
}
