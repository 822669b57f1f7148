/**
 * CANCEL_QUEUED_EXCEPT_OLDEST: what is active finishes; of those that wait, only the oldest remain, as many as there are slots,
 * so a newcomer beyond them is cancelled. Oldest by arrival: priority decides who is admitted first, not who remains. Knows runs
 * only as entries.
 */
import { parked, proposing, releaseWhileFull, settlingWithEviction, upkeep } from "./shared-states.ts";
import { admitNewcomer, proposeNewcomer, queueSubject, refuseFull, vocabulary } from "./vocabulary.ts";

const wait = [
  { guard: "isCrowded", actions: refuseFull, description: "As many wait as may" },
  { actions: [queueSubject, "enqueue"] },
] as const;

export const cancelQueuedExceptOldest = vocabulary.createMachine({
  id: "cancel-queued-except-oldest",
  context: ({ input }) => input,
  initial: "open",
  on: upkeep,
  states: {
    open: {
      description: "There is room, and nobody waits for it",
      on: {
        "run.arrived": [
          { guard: "isGated", actions: [proposeNewcomer, "awaitAnswer"], target: "proposing" },
          { guard: "takesLastSlot", actions: [admitNewcomer, "activate"], target: "full" },
          { actions: [admitNewcomer, "activate"] },
        ],
      },
    },
    full: {
      description: "Every slot is taken: newcomers wait while there are few, else they are cancelled",
      on: {
        ...releaseWhileFull,
        "run.arrived": wait,
      },
    },
    paused: {
      description: "Nobody is admitted until the group is resumed; only the oldest remain waiting",
      on: { "run.arrived": wait },
    },
    proposing: {
      ...proposing,
      on: {
        ...proposing.on,
        "run.parked": [
          { guard: "doesNotFit", actions: [refuseFull, "withdraw"], target: "settling", description: "As many wait as may" },
          ...parked,
        ],
      },
    },
    settling: settlingWithEviction,
  },
});
