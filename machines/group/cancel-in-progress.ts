/**
 * CANCEL_IN_PROGRESS: the newest runs survive, as many as there are slots. Of all that are active and not yet stopping, or wait
 * to replace those that are, the lowest in priority, then the oldest, makes way for a newcomer; one that all outrank is itself
 * cancelled. An active run keeps its slot until it has stopped. Knows runs only as entries.
 */
import { proposing, releaseWhileFull, settlingWithEviction, upkeep } from "./shared-states.ts";
import { admitNewcomer, cancelEvicted, proposeNewcomer, queueSubject, refuseOutranked, vocabulary } from "./vocabulary.ts";

/** There is no room now: the newcomer waits in the place of the one that makes way, if there need be one. */
const supersede = [
  { guard: "isOutranked", actions: refuseOutranked },
  { guard: "isCrowded", actions: [queueSubject, cancelEvicted, "enqueueAndEvict"] },
  { actions: [queueSubject, "enqueue"] },
] as const;

export const cancelInProgress = vocabulary.createMachine({
  id: "cancel-in-progress",
  context: ({ input }) => input,
  initial: "open",
  on: upkeep,
  states: {
    open: {
      description: "There is room",
      on: {
        "run.arrived": [
          { guard: "isOutranked", actions: refuseOutranked },
          { guard: "isGated", actions: [proposeNewcomer, "awaitAnswer"], target: "proposing" },
          {
            guard: "isCrowded",
            actions: [admitNewcomer, "activate"],
            target: "settling",
            description: "One that waits for other groups makes way",
          },
          { guard: "takesLastSlot", actions: [admitNewcomer, "activate"], target: "full" },
          { actions: [admitNewcomer, "activate"] },
        ],
      },
    },
    full: {
      description: "Every slot is taken: a newcomer replaces the lowest ranked run, and starts when that has stopped",
      on: {
        ...releaseWhileFull,
        "run.arrived": supersede,
      },
    },
    paused: {
      description: "Nobody is admitted until the group is resumed; newcomers still replace the lowest ranked runs",
      on: { "run.arrived": supersede },
    },
    proposing,
    settling: settlingWithEviction,
  },
});
