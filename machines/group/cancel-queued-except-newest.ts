/**
 * CANCEL_QUEUED_EXCEPT_NEWEST: what is active finishes; of those that wait, only the newest remain, as many as there are slots.
 * Newest by arrival: priority decides who is admitted first, not who remains. Knows runs only as entries.
 */
import { proposing, releaseWhileFull, settlingWithEviction, upkeep } from "./shared-states.ts";
import { admitNewcomer, cancelEvicted, proposeNewcomer, queueSubject, vocabulary } from "./vocabulary.ts";

const wait = [
  {
    guard: "isCrowded",
    actions: [queueSubject, cancelEvicted, "enqueueAndEvict"],
    description: "The oldest that waits makes way",
  },
  { actions: [queueSubject, "enqueue"] },
] as const;

export const cancelQueuedExceptNewest = vocabulary.createMachine({
  id: "cancel-queued-except-newest",
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
      description: "Every slot is taken: newcomers wait, in the place of older ones where too many do",
      on: {
        ...releaseWhileFull,
        "run.arrived": wait,
      },
    },
    paused: {
      description: "Nobody is admitted until the group is resumed; only the newest remain waiting",
      on: { "run.arrived": wait },
    },
    proposing,
    settling: settlingWithEviction,
  },
});
