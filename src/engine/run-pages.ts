/**
 * Lists of runs, counts of them, and how they spread over the states of their workflow: from the history, the inputs in the events
 * stream, and the memory of the partitions' owners, whichever knows.
 */
import { RequestError, WorkflowNotFoundError } from "../errors.ts";
import type { Connection } from "../nats/connection.ts";
import type { Names } from "../nats/subjects.ts";
import type { Population } from "../protocol/record.ts";
import type { Redactor } from "../protocol/redact.ts";
import type { Operation, Operations, Page, RunListQuery, RunView } from "../protocol/view.ts";
import type { NodeCalls } from "./cluster/node-calls.ts";
import type { HistoryPort } from "./history-port.ts";
import { LiveRuns, type StateQuery } from "./live-runs.ts";
import { workflowMachine } from "./machine-definitions.ts";
import { RunSearch } from "./run-search.ts";
import type { Workflows } from "./workflows.ts";

export interface RunPagesOptions {
  readonly connection: Connection;
  readonly names: Names;
  readonly calls: NodeCalls;
  readonly workflows: Workflows;
  readonly history: () => HistoryPort | undefined;
  readonly redactor: Redactor;
  /** What a page may take, in bytes of JSON. */
  readonly maxReplyBytes: () => number;
}

const DEFAULT_PAGE = 50;

export class RunPages {
  readonly #options: RunPagesOptions;
  readonly #search: RunSearch;
  readonly #live: LiveRuns;

  constructor(options: RunPagesOptions) {
    this.#options = options;
    this.#search = new RunSearch(options);
    this.#live = new LiveRuns(options);
  }

  /** Shorter than asked for where it would be too large for one message. */
  async list(query: RunListQuery): Promise<Page<RunView>> {
    const maxBytes = this.#options.maxReplyBytes();
    for (let size = query.size ?? DEFAULT_PAGE; ; size = Math.ceil(size / 2)) {
      const page = await this.#page({ ...query, size }, size).catch((error: unknown) => refuse("run.list", error));
      const items = page.items.map((view) => (view.input === undefined ? { ...view, input: null } : view));
      if (Buffer.byteLength(JSON.stringify(items)) < maxBytes) return { ...page, items };
      // Runs with large outputs: shorter pages.
      if (size === 1) return { ...page, items: items.map(withoutRepetition) };
    }
  }

  async #page(query: RunListQuery, size: number): Promise<Page<RunView>> {
    if (query.state !== undefined) {
      const page = await this.#live.page(inState(query, "run.list"), size);
      return query.fields === "row" ? { ...page, items: page.items.map(slim) } : page;
    }
    const history = this.#history("run.list");
    const { text } = query;
    if (text === undefined) return history.list(query);
    const { ns, next } = await this.#search.find(history, { ...query, text }, size);
    return { items: await history.rows(ns, query.fields), ...(next !== undefined && { next }) };
  }

  async count(query: RunListQuery): Promise<Operations["run.count"]["reply"]> {
    try {
      if (query.state !== undefined) {
        const { cursor: _, ...filters } = query;
        return { count: await this.#live.count(inState(filters, "run.count")), atLeast: false };
      }
      const history = this.#history("run.count");
      const { text, cursor: _, ...filters } = query;
      if (text === undefined) return await history.count(filters);
      // What one page looks through.
      const { ns, next } = await this.#search.find(history, { ...filters, text }, Infinity);
      return { count: ns.length, atLeast: next !== undefined };
    } catch (error) {
      return refuse("run.count", error);
    }
  }

  async population({ name, version }: Operations["workflow.population"]["request"]): Promise<Population> {
    const { workflows, history } = this.#options;
    const workflow = version === undefined ? workflows.latest(name) : workflows.get(name, version);
    if (workflow === undefined) {
      if (workflows.latest(name) === undefined) throw new WorkflowNotFoundError(name);
      throw new RequestError(`workflow.population: workflow "${name}" is not known in version ${JSON.stringify(version)}`, {
        operation: "workflow.population",
        status: 404,
        reason: "VERSION_NOT_FOUND",
      });
    }
    const { spec } = workflow;
    const live = await this.#live.population(name, spec.version);
    // Without a history that answers, those that have ended are not known.
    const ended = await history()
      ?.statuses(name, spec.version)
      .catch(() => undefined);
    return {
      workflow: name,
      version: spec.version,
      machine: workflowMachine(spec).hash,
      states: live.states,
      statuses: {
        QUEUED: live.queued,
        RUNNING: live.running,
        SUCCEEDED: ended?.SUCCEEDED ?? 0,
        FAILED: ended?.FAILED ?? 0,
        CANCELLED: ended?.CANCELLED ?? 0,
      },
      openInOtherVersions: live.openInOtherVersions,
    };
  }

  #history(operation: Operation): HistoryPort {
    const history = this.#options.history();
    if (history === undefined)
      throw new RequestError(`${operation}: this engine has no history`, {
        operation,
        status: 501,
        reason: "HISTORY_UNAVAILABLE",
      });
    return history;
  }
}

function inState(query: RunListQuery, operation: Operation): StateQuery {
  const { workflow, state = "" } = query;
  if (workflow === undefined)
    throw new RequestError(`${operation}: 'state': expected 'workflow' with it`, {
      operation,
      status: 400,
      reason: "BAD_REQUEST",
    });
  return { ...query, workflow, state };
}

function slim({ outputs: _, ...view }: RunView): RunView {
  return { ...view, input: null, steps: {} };
}

/** The outputs of a run that succeeded stand in it twice, which may be too much for one message. */
export function withoutRepetition(view: RunView): RunView {
  if (view.outputs === undefined) return view;
  const steps = Object.entries(view.steps).map(([name, { output: _, ...step }]) => [name, step] as const);
  return { ...view, steps: Object.fromEntries(steps) };
}

/** What the history fails with, as an answer: a bad query is the caller's, and all else passes. */
export function refuse(operation: string, error: unknown): never {
  const { code, message } = error as { readonly code?: unknown; readonly message?: string };
  if (code === "QUERY_INVALID")
    throw new RequestError(`${operation}: ${message}`, { operation, status: 400, reason: "BAD_REQUEST" }, { cause: error });
  if (code === "HISTORY_UNAVAILABLE" || code === "HISTORY_BEHIND")
    throw new RequestError(`${operation}: ${message}`, { operation, status: 503, reason: code }, { cause: error });
  throw error;
}
