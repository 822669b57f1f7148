/**
 * CANCEL_NEWEST: a newcomer that finds every slot spoken for is cancelled. One waits only where the group is paused, or where
 * another group of the run has no room. Knows runs only as entries.
 */
import { proposing, releaseWhileFull, settling, upkeep } from "./shared-states.ts";
import { admitNewcomer, proposeNewcomer, queueSubject, refuseFull, vocabulary } from "./vocabulary.ts";

export const cancelNewest = vocabulary.createMachine({
  id: "cancel-newest",
  context: ({ input }) => input,
  initial: "open",
  on: upkeep,
  states: {
    open: {
      description: "There is room",
      on: {
        "run.arrived": [
          { guard: "isOccupied", actions: refuseFull, description: "The free slots are for runs that wait for other groups" },
          { guard: "isGated", actions: [proposeNewcomer, "awaitAnswer"], target: "proposing" },
          { guard: "takesLastSlot", actions: [admitNewcomer, "activate"], target: "full" },
          { actions: [admitNewcomer, "activate"] },
        ],
      },
    },
    full: {
      description: "Every slot is taken: newcomers are cancelled",
      on: {
        ...releaseWhileFull,
        "run.arrived": { actions: refuseFull },
      },
    },
    paused: {
      description: "Nobody is admitted until the group is resumed; as many wait as there are slots",
      on: {
        "run.arrived": [{ guard: "isOccupied", actions: refuseFull }, { actions: [queueSubject, "enqueue"] }],
      },
    },
    proposing,
    settling,
  },
});
