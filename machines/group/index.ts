/**
 * The group machines, one per strategy, and how a group is restored: `machine.resolveState({ value: groupState(context),
 * context })`. What can be asked of a group and applied to it without a machine is in `context.ts`.
 */
import type { Strategy } from "../../src/workflow/spec.ts";
import { cancelInProgress } from "./cancel-in-progress.ts";
import { cancelNewest } from "./cancel-newest.ts";
import { cancelQueuedExceptNewest } from "./cancel-queued-except-newest.ts";
import { cancelQueuedExceptOldest } from "./cancel-queued-except-oldest.ts";
import { hasRoom } from "./context.ts";
import type { GroupContext } from "./contract.ts";
import { groupRoundRobin } from "./group-round-robin.ts";

const MACHINES = {
  CANCEL_IN_PROGRESS: cancelInProgress,
  CANCEL_NEWEST: cancelNewest,
  CANCEL_QUEUED_EXCEPT_NEWEST: cancelQueuedExceptNewest,
  CANCEL_QUEUED_EXCEPT_OLDEST: cancelQueuedExceptOldest,
  GROUP_ROUND_ROBIN: groupRoundRobin,
} as const satisfies Record<Strategy, unknown>;

export type GroupMachine = (typeof MACHINES)[Strategy];
export type GroupState = "open" | "full" | "paused" | "proposing";

export function groupMachine(strategy: Strategy): GroupMachine {
  return MACHINES[strategy];
}

/** The state in which every strategy's machine rests with this context. */
export function groupState(context: GroupContext): GroupState {
  if (context.proposed !== undefined) return "proposing";
  if (context.paused) return "paused";
  return hasRoom(context) ? "open" : "full";
}

export { isIdle, position, refusal, standing, turnsOf, wouldRefuse, type Standing } from "./context.ts";
export { hasRoom };
