/**
 * The table of contract.md section 4 in the plainest words: lists, sorted anew at every event. For groups whose runs need no
 * other slots. It shares no code with the machines.
 */
import type { Entry, GroupContext, GroupEvent } from "../../machines/group/contract.ts";

export interface Plain {
  readonly active: Entry[];
  readonly stopping: Entry[];
  readonly waiting: Entry[];
}

export interface Expected extends Plain {
  readonly admitted: Entry[];
  readonly cancelled: Entry[];
}

/** The same run may come as different objects. */
const without = (list: readonly Entry[], gone: readonly Entry[]) =>
  list.filter((entry) => !gone.some(({ order }) => order === entry.order));
const has = (list: readonly Entry[], entry: Entry) => without([entry], list).length === 0;

export function expectedOf(context: GroupContext, event: GroupEvent): Expected {
  const { strategy } = context;
  let { maxRuns, paused } = context;
  let active = [...context.active];
  let stopping = [...context.stopping];
  let waiting = [...context.waiting];
  const admitted: Entry[] = [];
  const cancelled: Entry[] = [];

  switch (event.type) {
    case "run.arrived":
      if (strategy === "CANCEL_NEWEST" && active.length + waiting.length >= maxRuns) cancelled.push(event.entry);
      else waiting.push(event.entry);
      break;
    case "run.released":
      active = without(active, [event.entry]);
      stopping = without(stopping, [event.entry]);
      break;
    case "run.withdrawn":
      waiting = without(waiting, [event.entry]);
      break;
    case "run.stopping":
      if (has(active, event.entry) && !has(stopping, event.entry)) stopping.push(event.entry);
      break;
    case "limit.changed":
      maxRuns = event.maxRuns;
      break;
    case "group.paused":
      paused = true;
      break;
    case "group.resumed":
      paused = false;
      break;
    case "run.offered":
      break;
    default:
      throw new Error(`the reference knows no runs with several limits, got ${event.type}`);
  }

  if (strategy === "CANCEL_IN_PROGRESS") {
    const survivors = [...without(active, stopping), ...waiting].sort((a, b) => b.priority - a.priority || b.order - a.order);
    for (const entry of survivors.slice(maxRuns)) {
      cancelled.push(entry);
      if (has(active, entry)) stopping.push(entry);
      waiting = without(waiting, [entry]);
    }
  }
  waiting.sort((a, b) => b.priority - a.priority || a.order - b.order);
  while (!paused && active.length < maxRuns && waiting.length > 0) {
    const next = waiting.shift()!;
    admitted.push(next);
    active.push(next);
  }
  if (strategy === "CANCEL_QUEUED_EXCEPT_NEWEST" || strategy === "CANCEL_QUEUED_EXCEPT_OLDEST") {
    const sign = strategy === "CANCEL_QUEUED_EXCEPT_NEWEST" ? -1 : 1;
    const surplus = [...waiting].sort((a, b) => sign * (a.order - b.order)).slice(maxRuns);
    cancelled.push(...surplus);
    waiting = without(waiting, surplus);
  }
  return { active, stopping, waiting, admitted, cancelled };
}
