/**
 * What the charts of all strategies have in common: the states in which nothing is for a strategy to decide, and the events
 * that mean the same in every state. A strategy's file adds what it does with newcomers.
 */
import { admitNext, cancelEvicted, proposeNext, queueSubject, vocabulary } from "./vocabulary.ts";

/** A slot becomes free while the group is full. The three usual cases end in one step; the rest is settled. */
export const releaseWhileFull = vocabulary.createStateConfig({
  on: {
    "run.released": [
      { guard: "holdsNoSlot", description: "It holds none: nothing to free" },
      { guard: "nextTakesOver", actions: [admitNext, "handOver"], description: "The next in turn takes over the slot" },
      { guard: "leavesRoom", actions: "release", target: "open" },
      { actions: "release", target: "settling" },
    ],
  },
}).on;

/** Admits whoever can be admitted, then rests in the state that tells how things stand. */
const settle = vocabulary.createStateConfig({
  always: [
    { guard: "isPaused", target: "paused" },
    { guard: "awaitsAnswer", target: "proposing" },
    { guard: "roomAndWaitingGated", actions: [proposeNext, "awaitAnswerForNext"], target: "proposing" },
    { guard: "roomAndWaiting", actions: [admitNext, "activateNext"] },
    { guard: "hasRoom", target: "open" },
    { target: "full" },
  ],
}).always;

export const settling = vocabulary.createStateConfig({
  description: "While there is room, whoever is next in turn is admitted",
  always: settle,
});

export const settlingWithEviction = vocabulary.createStateConfig({
  description: "What is too many is cancelled; while there is room, whoever is next in turn is admitted",
  always: [{ guard: "isOvercrowded", actions: [cancelEvicted, "evict"] }, ...settle],
});

export const parked = [
  { guard: "doesNotWait", actions: [queueSubject, "hold"], target: "settling", description: "A newcomer begins to wait" },
  { actions: "hold", target: "settling", description: "Another group is full: it waits for that one" },
] as const;

export const proposing = vocabulary.createStateConfig({
  description: "The next in turn needs a slot in other groups too: the supervisor asks them",
  on: {
    "run.confirmed": { actions: "activate", target: "settling", description: "All have room: it is active" },
    "run.parked": parked,
    "run.withdrawn": { actions: "withdraw", target: "settling" },
  },
});

/** Means the same in every state that does not say otherwise. Belongs to the root of a chart. */
export const upkeep = vocabulary.createStateConfig({
  on: {
    "run.released": { actions: "release" },
    "run.stopping": { actions: "markStopping" },
    "run.withdrawn": { actions: "withdraw" },
    "run.parked": { actions: "hold" },
    "run.offered": { actions: "offer", target: ".settling" },
    "run.taken": { actions: "activate", target: ".settling" },
    "limit.changed": { actions: "setMaxRuns", target: ".settling" },
    "group.paused": { actions: "pause", target: ".settling" },
    "group.resumed": { actions: "resume", target: ".settling" },
  },
}).on;
