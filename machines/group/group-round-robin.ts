/**
 * GROUP_ROUND_ROBIN: whoever finds no room waits, and nothing is ever cancelled. Runs that share the group through other groups
 * of theirs take turns (the fair queue's doing). Knows runs only as entries.
 */
import { proposing, releaseWhileFull, settling, upkeep } from "./shared-states.ts";
import { admitNewcomer, proposeNewcomer, queueSubject, vocabulary } from "./vocabulary.ts";

export const groupRoundRobin = vocabulary.createMachine({
  id: "group-round-robin",
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
      description: "Every slot is taken: newcomers wait",
      on: {
        ...releaseWhileFull,
        "run.arrived": { actions: [queueSubject, "enqueue"] },
      },
    },
    paused: {
      description: "Nobody is admitted until the group is resumed",
      on: { "run.arrived": { actions: [queueSubject, "enqueue"] } },
    },
    proposing,
    settling,
  },
});
