/**
 * The options of a worker node: what users may write, and what the worker works with.
 */
import { hostname } from "node:os";
import type { Logger } from "pino";
import { connectionOptionsShape, loggerOption, type ConnectionOptions } from "../nats/connection.ts";
import { DEFAULT_PREFIX, prefixOption } from "../nats/subjects.ts";
import { OptionsError } from "../errors.ts";
import type { Duration } from "../workflow/duration.ts";
import { durationOption, integerOption, optionOf, optionsOf, parseOptionsOf } from "../workflow/parse-options.ts";
import { isWorkflow } from "../workflow/define.ts";
import type { AnyWorkflow } from "../workflow/workflow.ts";

export interface WorkerOptions extends ConnectionOptions {
  /** The workflows whose steps it executes: at least one, each name once. */
  readonly workflows: readonly AnyWorkflow[];
  /**
   * How many steps it executes at once, an integer of at least 1. Default 100. More suits handlers that mostly wait, at the price
   * of memory; fewer suits handlers that compute, since steps then wait where another worker could take them.
   */
  readonly slots?: number | undefined;
  /** What people call it; shown in lists and logs. Default: the host's name. */
  readonly name?: string | undefined;
  /** How often it says that it lives. At least 50 ms. Default 1 s. Shorter finds dead workers sooner and costs messages. */
  readonly heartbeat?: Duration | undefined;
  /**
   * How long engines may hear nothing of it before its steps are given to others; cut off for so long, it gives up its work by itself. At
   * least twice the heartbeat. Default 3 s. Longer forgives slow networks and handlers that block the event loop; shorter replaces a dead worker sooner.
   */
  readonly deadline?: Duration | undefined;
  /** When it is stopped: how long what runs may take to finish, before it is aborted and handed back. Default 30 s. */
  readonly drainTimeout?: Duration | undefined;
  /** How long an aborted handler may take to end when the worker stops or was cut off; then its slot is given up. Default 5 s. */
  readonly grace?: Duration | undefined;
  /** A pino logger. Default: one that writes lines of level `info` to standard error. */
  readonly logger?: Logger | undefined;
  /** The cluster's prefix. Default `sluice`. */
  readonly prefix?: string | undefined;
  /**
   * True: what user code throws outside of a handler (a timer, a promise that nobody awaits) is logged and the process goes on,
   * unless it has a listener of its own for it. False: Node.js ends the process, and other workers get its steps. Default true.
   */
  readonly catchUncaught?: boolean | undefined;
}

const schema = optionsOf(
  {
    ...connectionOptionsShape,
    workflows: optionOf(
      "a list of at least one workflow made by defineWorkflow",
      (value): value is readonly AnyWorkflow[] => Array.isArray(value) && value.length > 0 && value.every(isWorkflow),
    ),
    slots: integerOption(1, 100_000).optional(),
    name: optionOf(
      "a text of 1 to 64 characters",
      (value): value is string => typeof value === "string" && value !== "" && value.length <= 64,
    ).optional(),
    heartbeat: durationOption(50).optional(),
    deadline: durationOption(100).optional(),
    drainTimeout: durationOption().optional(),
    grace: durationOption().optional(),
    logger: loggerOption,
    prefix: prefixOption,
    catchUncaught: optionOf("true or false", (value): value is boolean => typeof value === "boolean").optional(),
  },
  { slots: ["concurrency", "maxConcurrency", "maxRuns"], servers: ["url", "nats", "server"], workflows: ["workflow"] },
);

export interface WorkerSettings {
  readonly connection: ConnectionOptions;
  readonly workflows: readonly AnyWorkflow[];
  readonly slots: number;
  readonly name: string;
  readonly heartbeatMs: number;
  readonly deadlineMs: number;
  readonly drainTimeoutMs: number;
  readonly graceMs: number;
  readonly logger: Logger | undefined;
  readonly prefix: string;
  readonly catchUncaught: boolean;
}

/**
 * Checks the options and fills in the defaults.
 * @throws OptionsError (`OPTIONS_INVALID`), DefinitionError for a workflow without steps
 */
export function parseWorkerOptions(options: WorkerOptions): WorkerSettings {
  const given = parseOptionsOf(schema, options, "startWorker");
  const { workflows, slots, name, heartbeat, deadline, drainTimeout, grace, logger, prefix, catchUncaught, ...connection } =
    given;
  const heartbeatMs = heartbeat ?? 1_000;
  const deadlineMs = deadline ?? Math.max(3_000, 3 * heartbeatMs);
  if (deadlineMs < 2 * heartbeatMs) {
    const expected = `at least twice the heartbeat, which is ${heartbeatMs} ms`;
    throw new OptionsError(`expected 'deadline' to be ${expected}, got ${deadlineMs} ms (startWorker)`, {
      path: "deadline",
      expected,
      received: options.deadline,
    });
  }
  const names = new Set<string>();
  for (const { spec } of workflows) {
    if (names.has(spec.name)) {
      const expected = "a list in which each workflow stands once";
      throw new OptionsError(`expected 'workflows' to be ${expected}, got "${spec.name}" twice (startWorker)`, {
        path: "workflows",
        expected,
        received: spec.name,
      });
    }
    names.add(spec.name);
  }
  return {
    connection,
    workflows,
    slots: slots ?? 100,
    name: name ?? hostname(),
    heartbeatMs,
    deadlineMs,
    drainTimeoutMs: drainTimeout ?? 30_000,
    graceMs: grace ?? 5_000,
    logger,
    prefix: prefix ?? DEFAULT_PREFIX,
    catchUncaught: catchUncaught ?? true,
  };
}
