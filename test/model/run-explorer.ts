/**
 * Walks every path of a run machine, breadth first over canonical snapshots, giving it every event in every state (late,
 * twice, of other attempts), and keeps the books that an engine would keep from the actions. At every edge it compares
 * with XState's own `transition()`.
 */
import { fromTransition, initialTransition, transition } from "xstate";
import type { AnyMachineSnapshot, ExecutableActionObject } from "xstate";
import { compileRunMachine } from "../../machines/run/compile.ts";
import type { RunContext } from "../../machines/run/context.ts";
import { canonical, createStepper } from "../../src/step/stepper.ts";
import type { StepAction } from "../../src/step/stepper.ts";
import type { StepSpec, WorkflowSpec } from "../../src/workflow/spec.ts";

export const step = (name: string, options: Partial<StepSpec> = {}): StepSpec => ({
  name,
  after: [],
  retries: 0,
  backoff: { factor: 2, minMs: 100, maxMs: 1000 },
  scheduleTimeoutMs: 300_000,
  ...options,
});

export const workflow = (steps: readonly StepSpec[], options: Partial<WorkflowSpec> = {}): WorkflowSpec => ({
  name: "w",
  version: "1",
  on: [],
  cron: [],
  steps,
  limits: [],
  onStepFailure: "cancel",
  graceMs: 5000,
  ...options,
});

export interface RunEventObject {
  readonly type: string;
  readonly [field: string]: unknown;
}

export interface Edge {
  readonly event: RunEventObject;
  readonly from: Node;
  readonly to: Node;
  readonly actions: readonly StepAction[];
}

/** What an engine knows from the actions alone. */
export interface Books {
  readonly wanted: ReadonlySet<string>;
  readonly timers: ReadonlySet<string>;
  /** Attempts that may still be running at a worker. */
  readonly live: ReadonlySet<string>;
}

export interface Node {
  readonly key: string;
  readonly snapshot: AnyMachineSnapshot;
  readonly stock: AnyMachineSnapshot;
  readonly books: Books;
  readonly path: readonly string[];
}

export interface Exploration {
  readonly nodes: readonly Node[];
  readonly edges: readonly Edge[];
}

/** The actions of `transition()` in the stepper's terms. */
export function asData(actions: readonly ExecutableActionObject[]): StepAction[] {
  return actions.flatMap(({ type, params }): StepAction[] => {
    const p = params as Record<string, unknown> | undefined;
    switch (type) {
      case "xstate.raise":
        return typeof p?.["delay"] === "number"
          ? [{ type: "timer.set", params: { id: p["id"], delayMs: p["delay"], event: p["event"] } }]
          : [];
      case "xstate.cancel":
        return [{ type: "timer.cancel", params: { id: p?.["sendId"] } }];
      case "xstate.spawnChild":
        return [
          {
            type: "actor.start",
            params: { id: p?.["id"], src: p?.["src"], ...(p?.["input"] !== undefined && { input: p["input"] }) },
          },
        ];
      case "xstate.stopChild":
        return p === undefined ? [] : [{ type: "actor.stop", params: { id: p["id"] } }];
      default:
        return [params === undefined ? { type } : { type, params }];
    }
  });
}

export interface Scope {
  /** Kinds of step events to leave out, to keep large workflows small. */
  readonly without?: readonly ("returned" | "lost" | "final")[];
  /** Losses per step that are explored. */
  readonly maxLost?: number;
}

/** Every event that this workflow's machine can be told. */
export function alphabet(spec: WorkflowSpec, { without = [] }: Scope = {}): RunEventObject[] {
  const left = (kind: "returned" | "lost" | "final"): boolean => !without.includes(kind);
  const error = { name: "Error", message: "boom" };
  return [
    { type: "run.admitted" },
    { type: "run.cancelled", reason: "CANCELLED_BY_USER" },
    { type: "run.failed", reason: "KEY_FAILED", error },
    ...spec.steps.flatMap(({ name, scheduleTimeoutMs, timeoutMs, retries }): RunEventObject[] => {
      const after = (delay: string | number, state: string) => ({ type: `xstate.after.${delay}.run.running.${name}.${state}` });
      return [
        { type: `step.started.${name}`, worker: "w1" },
        { type: `xstate.done.actor.${name}`, output: { by: name } },
        { type: `xstate.error.actor.${name}`, error },
        ...(left("final") ? [{ type: `xstate.error.actor.${name}`, error: { ...error, retryable: false } }] : []),
        { type: `step.stopped.${name}` },
        ...(left("returned") ? [{ type: `step.returned.${name}` }] : []),
        ...(left("lost") ? [{ type: `step.lost.${name}` }] : []),
        after(scheduleTimeoutMs, "attempt.ready"),
        after(spec.graceMs, "attempt.stopping"),
        ...(timeoutMs === undefined ? [] : [after(timeoutMs, "attempt.executing"), after(spec.graceMs, "attempt.timedOut")]),
        ...(retries > 0 ? [after(`backoff.${name}`, "backoff")] : []),
      ];
    }),
  ];
}

/** A step's state as one word. */
export function regionOf(snapshot: AnyMachineSnapshot, name: string): string | undefined {
  const region = (snapshot.value as { running?: Record<string, string | { attempt: string }> }).running?.[name];
  return typeof region === "object" ? region.attempt : region;
}

function keepBooks(
  spec: WorkflowSpec,
  books: Books,
  event: RunEventObject,
  to: AnyMachineSnapshot,
  actions: readonly StepAction[],
): Books {
  const [wanted, timers, live] = [new Set(books.wanted), new Set(books.timers), new Set(books.live)];
  timers.delete(event.type);
  for (const { name } of spec.steps) {
    const over = [`xstate.done.actor.${name}`, `xstate.error.actor.${name}`, `step.stopped.${name}`, `step.returned.${name}`];
    const graces = ["stopping", "timedOut"].map((state) => `xstate.after.${spec.graceMs}.run.running.${name}.attempt.${state}`);
    const graceIsOver = graces.includes(event.type) && books.timers.has(event.type);
    if ([...over, `step.lost.${name}`].includes(event.type) || graceIsOver) live.delete(name);
    if (event.type === `step.started.${name}` && regionOf(to, name) === "executing") live.add(name);
  }
  for (const { type, params } of actions) {
    if (type === "actor.start") wanted.add(params.id);
    if (type === "actor.stop") wanted.delete(params.id);
    if (type === "timer.set") timers.add(params.id);
    if (type === "timer.cancel") timers.delete(params.id);
  }
  return { wanted, timers, live };
}

/** Throws at the first edge where the stepper and XState differ. `check` sees every edge. */
export function explore(spec: WorkflowSpec, scope: Scope = {}, check: (edge: Edge) => void = () => {}): Exploration {
  const stepper = createStepper(compileRunMachine(spec));
  const stockMachine = compileRunMachine(spec).provide({
    actors: { step: fromTransition((state) => state, undefined) },
  } as never);
  const events = alphabet(spec, scope);

  const [stock] = initialTransition(stockMachine, { runId: "r1" } as never);
  const { snapshot } = stepper.initial({ runId: "r1" });
  const none: ReadonlySet<string> = new Set();
  const start: Node = { key: canonical(snapshot), snapshot, stock, books: { wanted: none, timers: none, live: none }, path: [] };

  const nodes = new Map([[start.key, start]]);
  const edges: Edge[] = [];
  for (const from of nodes.values()) {
    for (const event of events) {
      if (isLoss(from, event.type) && !mayLose(from, event.type, scope)) continue;
      const { snapshot, actions, error } = stepper.step(from.snapshot, event);
      const path = [...from.path, event.type];
      if (error !== undefined) throw new Error(`the machine broke: ${String(error)} after ${path.join(", ")}`);

      const finished = from.snapshot.status !== "active";
      const [stock, stockActions] = finished ? [from.stock, []] : transition(stockMachine, from.stock, event as never);
      const key = canonical(snapshot);
      const [ours, theirs] = [key + JSON.stringify(actions), canonical(stock) + JSON.stringify(asData(stockActions))];
      if (ours !== theirs) throw new Error(`differs from XState after ${path.join(", ")}:\n${ours}\n${theirs}`);

      const books = keepBooks(spec, from.books, event, snapshot, actions);
      const fresh: Node = { key: `${key} ${[...books.live].sort().join()}`, snapshot, stock, books, path };
      const to = nodes.get(fresh.key) ?? fresh;
      if (to === fresh) nodes.set(fresh.key, fresh);
      const edge = { event, from, to, actions };
      edges.push(edge);
      check({ ...edge, to: fresh });
    }
  }
  return { nodes: [...nodes.values()], edges };
}

/** An attempt that stopped without having been told to counts as lost. */
function isLoss({ snapshot }: Node, type: string): boolean {
  const [, kind, name = ""] = type.split(".");
  return kind === "lost" || (kind === "stopped" && regionOf(snapshot, name) === "executing");
}

function mayLose({ snapshot }: Node, type: string, { without = [], maxLost = Number.POSITIVE_INFINITY }: Scope): boolean {
  const lost = (snapshot.context as RunContext).steps[type.split(".")[2] ?? ""]?.lost ?? 0;
  return lost < (without.includes("lost") ? 0 : maxLost);
}

/** The nodes from which a final one can be reached over the edges that `usable` admits. */
export function reachingEnd({ nodes, edges }: Exploration, usable: (event: RunEventObject) => boolean): Set<Node> {
  const into = new Map<Node, Node[]>();
  for (const { event, from, to } of edges) if (usable(event)) into.set(to, [...(into.get(to) ?? []), from]);
  const found = new Set(nodes.filter((node) => node.snapshot.status !== "active"));
  for (const node of found) for (const from of into.get(node) ?? []) found.add(from);
  return found;
}
