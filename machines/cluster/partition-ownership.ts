/**
 * One role of the cluster (a partition, or the coordinator) as one node sees it. Pure: what it wants done are actions as data,
 * carried out by `src/engine/cluster/membership.ts`, which answers with events. The map of the cluster says who owns what; this says
 * how far the node has got with what the map says.
 *
 * Modes:
 * - `elsewhere`: the map does not name this node. The only mode in which it may claim the role.
 * - `taking`: the map names it: it puts its claim into the journal, recovers, starts. `owned`: it does the work.
 * - `givingBack`: another shall have it (`handover.due`): it stops gracefully and writes a snapshot.
 * - `dropped`: it lost the role in the middle of one of these two, and waits for their end before anything else may begin.
 * - `freeing`: nothing of it runs here any more; the map is to say so. Left when the map does.
 * - `resting`: it failed here; claimed again only after a while.
 *
 * `map.read` tells what the newest map says, whether or not it has changed: it may be repeated, and news may be left out.
 * `fenced`: a newer owner has written to the journal; the partition was dropped by whoever found that.
 * `failed` (context) makes the role rest after it is free.
 *
 * Actions: `take` (answer with `take.done` or `take.failed`), `giveBack` (answer with `giveBack.done`), `drop` (at once; may be repeated),
 * `free` (have the map say that it is free). `timer.set` and `timer.cancel` are those of the stepper.
 */
import { assign, setup } from "xstate";

export interface OwnershipInput {
  /** How long it rests after a failure. */
  readonly restMs: number;
}

export interface OwnershipContext extends OwnershipInput {
  /** Of the map's entry under which it was last named here. */
  readonly epoch: number;
  readonly failed: boolean;
}

export type OwnershipEvent =
  | { readonly type: "map.read"; readonly mine: boolean; readonly epoch: number }
  | { readonly type: "handover.due" }
  | { readonly type: "take.done" }
  | { readonly type: "take.failed" }
  | { readonly type: "giveBack.done" }
  | { readonly type: "fenced" };

export type OwnershipMode = "elsewhere" | "taking" | "owned" | "givingBack" | "dropped" | "freeing" | "resting";

export const partitionOwnership = setup({
  types: {} as { input: OwnershipInput; context: OwnershipContext; events: OwnershipEvent },
  actions: {
    take: () => {},
    giveBack: () => {},
    drop: () => {},
    free: () => {},
    noteEpoch: assign({ epoch: ({ context, event }) => (event.type === "map.read" ? event.epoch : context.epoch) }),
    noteFailure: assign({ failed: true }),
    forgetFailure: assign({ failed: false }),
  },
  guards: {
    isNamed: ({ event }) => event.type === "map.read" && event.mine,
    /** Also when it is named again: under another epoch it is another ownership. */
    isNamedNoMore: ({ context, event }) => event.type === "map.read" && (!event.mine || event.epoch !== context.epoch),
    isFreeAfterFailure: ({ context, event }) =>
      context.failed && event.type === "map.read" && (!event.mine || event.epoch !== context.epoch),
  },
  delays: { rest: ({ context }) => context.restMs },
}).createMachine({
  id: "ownership",
  context: ({ input }) => ({ ...input, epoch: 0, failed: false }),
  initial: "elsewhere",
  states: {
    elsewhere: {
      entry: "forgetFailure",
      on: { "map.read": { guard: "isNamed", target: "taking", actions: "noteEpoch" } },
    },
    taking: {
      entry: "take",
      on: {
        "take.done": "owned",
        "take.failed": { target: "freeing", actions: "noteFailure" },
        "map.read": { guard: "isNamedNoMore", target: "dropped", actions: "drop" },
        fenced: { target: "dropped", actions: "noteFailure" },
      },
    },
    owned: {
      on: {
        "handover.due": "givingBack",
        "map.read": { guard: "isNamedNoMore", target: "freeing", actions: "drop" },
        fenced: { target: "freeing", actions: "noteFailure" },
      },
    },
    givingBack: {
      entry: "giveBack",
      on: {
        "giveBack.done": "freeing",
        "map.read": { guard: "isNamedNoMore", target: "dropped", actions: "drop" },
        fenced: { target: "dropped", actions: "noteFailure" },
      },
    },
    dropped: {
      on: {
        // What was recovered meanwhile is dropped too.
        "take.done": { target: "freeing", actions: "drop" },
        "take.failed": "freeing",
        "giveBack.done": "freeing",
      },
    },
    freeing: {
      entry: "free",
      on: {
        "map.read": [
          { guard: "isFreeAfterFailure", target: "resting" },
          { guard: "isNamedNoMore", target: "elsewhere" },
        ],
      },
    },
    resting: { after: { rest: "elsewhere" } },
  },
});
