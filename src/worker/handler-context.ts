/**
 * The `ctx` of a handler. What costs something (the logger, the signal) is made when it is first asked for.
 */
import type { Logger } from "pino";
import { DefinitionError } from "../errors.ts";
import type { Assignment } from "../protocol/work.ts";
import type { LimitKey, Metadata, StepContext, TriggerEvent } from "../workflow/step-context.ts";
import type { Attempt } from "./attempt.ts";

const NO_METADATA: Metadata = Object.freeze({});

export class HandlerContext implements StepContext {
  readonly input: unknown;
  readonly runId: string;
  readonly workflow: string;
  readonly step: string;
  readonly attempt: number;
  readonly attemptId: string;
  readonly metadata: Metadata;
  readonly event: TriggerEvent | undefined;
  readonly key: string | undefined;
  readonly keys: readonly LimitKey[];
  /** A property, so that it also works taken apart: `({ output }) => …`. */
  readonly output: (step: string) => unknown;
  readonly #attempt: Attempt;
  readonly #logger: Logger;
  #log: Logger | undefined;

  constructor(attempt: Attempt, input: unknown, logger: Logger) {
    const assignment = attempt.assignment;
    this.input = input;
    this.runId = assignment.run;
    this.workflow = assignment.workflow;
    this.step = assignment.step;
    this.attempt = assignment.attempt;
    this.attemptId = assignment.attemptId;
    this.metadata = assignment.metadata ?? NO_METADATA;
    this.event = assignment.event;
    this.key = assignment.keys[0]?.key;
    this.keys = assignment.keys;
    this.output = (step) => outputOf(assignment, step);
    this.#attempt = attempt;
    this.#logger = logger;
    this.#log = undefined;
  }

  get signal(): AbortSignal {
    return this.#attempt.signal;
  }

  get log(): Logger {
    this.#log ??= this.#logger.child({ runId: this.runId, workflow: this.workflow, step: this.step, attempt: this.attempt });
    return this.#log;
  }
}

function outputOf(assignment: Assignment, step: string): unknown {
  if (Object.hasOwn(assignment.outputs, step)) return assignment.outputs[step];
  const known = Object.keys(assignment.outputs).join(", ");
  const expected =
    known === "" ? "no step at all, since none comes before this one" : `one of the steps before this one (${known})`;
  throw new DefinitionError(
    `expected the argument of ctx.output to be ${expected}, got ${JSON.stringify(step)} (workflow "${assignment.workflow}", step "${assignment.step}")`,
    {
      path: "ctx.output",
      expected,
      received: step,
      workflow: assignment.workflow,
      step: assignment.step,
    },
  );
}
