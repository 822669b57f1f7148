/**
 * What actions do within a step: XState's resolution of them, each prepared once. `assign` and the actions that every timer and
 * every invoke needs are done here; all others by their own `resolve`, as XState's `resolveAndExecuteActionsWithContext` does.
 */
import { and } from "xstate";

/** A step under way: the snapshot as it is so far, copied when first changed, and the events raised. */
export class Walk {
  current: any;
  /** Whether the microstep has changed the snapshot: XState looks for eventless transitions again only then. */
  changed = false;
  readonly queue: any[];
  #owned = false;

  constructor(snapshot: any, queue: any[]) {
    this.current = snapshot;
    this.queue = queue;
  }

  /** The snapshot, to write to. */
  own(): any {
    this.changed = true;
    if (!this.#owned) {
      this.current = copySnapshot(this.current);
      this.#owned = true;
    }
    return this.current;
  }

  /** Goes on with what an action of XState has made of the snapshot. */
  adopt(next: any): void {
    if (next === this.current) return;
    this.current = next;
    this.changed = true;
    this.#owned = true;
  }
}

/** Written out, since a spread of so many properties takes four times as long. */
export function copySnapshot(s: any): any {
  return {
    status: s.status,
    output: s.output,
    error: s.error,
    machine: s.machine,
    context: s.context,
    _nodes: s._nodes,
    value: s.value,
    tags: s.tags,
    children: s.children,
    historyValue: s.historyValue,
    matches: s.matches,
    hasTag: s.hasTag,
    can: s.can,
    getMeta: s.getMeta,
    toJSON: s.toJSON,
  };
}

export type Act = (walk: Walk, event: any, deferredActorIds: readonly string[]) => void;
export type Passes = (snapshot: any, event: any) => boolean;

/** Prepares actions, and guards, of one machine; `scope` is what its actions are resolved in and handed to. */
export function createPreparation(machine: any, scope: any) {
  const { actions: named, guards: namedGuards } = machine.implementations;

  function prepareAction(action: any): Act {
    const inline = typeof action === "function";
    const name: string = typeof action === "string" ? action : action.type;
    const resolved = inline ? action : named[name];
    const paramsOf = paramsReader(inline || typeof action === "string" ? undefined : action);

    if (!resolved || !("resolve" in resolved)) {
      const type = inline ? action.name || "(anonymous)" : name;
      return (walk, event) => scope.actionExecutor({ type, params: paramsOf(walk.current, event) });
    }
    return prepareBuiltIn(resolved, paramsOf);
  }

  function prepareBuiltIn(action: any, paramsOf: (snapshot: any, event: any) => unknown): Act {
    const resolve: Act = (walk, event, deferredActorIds) => {
      const snapshot = walk.current;
      const args = { context: snapshot.context, event, self: scope.self, system: scope.system };
      const extra = { internalQueue: walk.queue, deferredActorIds };
      const [next, params, further] = action.resolve(scope, snapshot, args, paramsOf(snapshot, event), action, extra);
      walk.adopt(next);
      if ("execute" in action) scope.actionExecutor({ type: action.type, params });
      // New ones every time (`enqueueActions`), so there is nothing to keep.
      if (further) for (const each of further) prepareAction(each)(walk, event, deferredActorIds);
    };

    if (action.change) {
      return (walk, event) => {
        const children = action.change(scope, walk.current, event);
        if (children !== walk.current.children) walk.own().children = children;
      };
    }
    if (action.assign) {
      return (walk, event, deferredActorIds) => {
        const context = action.assign(scope, walk.current, event, paramsOf(walk.current, event));
        if (context === undefined) resolve(walk, event, deferredActorIds);
        else walk.own().context = context;
      };
    }
    const { event: raised, delay, id } = action;
    if (action.type === "xstate.raise" && typeof raised === "object") {
      if (delay === undefined) return (walk) => void walk.queue.push(raised);
      if (typeof delay === "number")
        return () => scope.actionExecutor({ type: action.type, params: { event: raised, id, delay } });
    }
    const { sendId } = action;
    if (action.type === "xstate.cancel" && typeof sendId === "string")
      return () => scope.actionExecutor({ type: action.type, params: { sendId } });
    return resolve;
  }

  /** Throws what the guard throws; XState words it differently in the transitions of an event. */
  function prepareGuard(guard: any): Passes {
    const inline = typeof guard === "function";
    const resolved = inline ? guard : namedGuards[typeof guard === "string" ? guard : guard.type];
    if (typeof resolved === "function" && !("check" in resolved)) {
      const paramsOf = paramsReader(inline || typeof guard === "string" ? undefined : guard);
      return (snapshot, event) => resolved({ context: snapshot.context, event }, paramsOf(snapshot, event));
    }
    // The way to XState's `evaluateGuard`.
    const evaluate: any = and([guard]);
    return (snapshot, event) => evaluate.check(snapshot, { context: snapshot.context, event }, evaluate);
  }

  return { prepareAction, prepareGuard };
}

function paramsReader(configured: any): (snapshot: any, event: any) => unknown {
  const params = configured !== undefined && "params" in configured ? configured.params : undefined;
  return typeof params === "function" ? ({ context }, event) => params({ context, event }) : () => params;
}
