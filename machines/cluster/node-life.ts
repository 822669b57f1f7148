/**
 * The life of an engine node as a member of its cluster. Pure: what it wants done are actions as data, carried out by
 * `src/engine/cluster/membership.ts`, which answers with events.
 *
 * Modes:
 * - `joining`: it opens a session under a new id, and has the map name it.
 * - `member.assured`: it is named, and its session is renewed in time. `member.doubtful`: by its own clock the session has run out;
 *   others may have removed it. It keeps what it has (if NATS is away, nobody can take it; if only it was away, journals and workers
 *   refuse it), but claims nothing and declares nobody dead before a renewal got through.
 * - `outcast`: the map does not name it any more, or its session was ended: all is dropped, and it joins anew at once.
 * - `leaving`: it gives back all that it has, and then has itself removed. `withdrawing`: it was stopped before it knew that it is a
 *   member. Both end at once when the session has run out: others take what it had anyway. `left`: the end.
 *
 * `map.read` tells what the newest map says, whether or not it has changed.
 *
 * Actions: `begin` (a new id and a new session), `dropAll`, `reportOutcast`, `look` (at the map, and write what is wished there),
 * `endSession`.
 * `timer.set` and `timer.cancel` are those of the stepper.
 */
import { setup } from "xstate";

export interface NodeLifeInput {
  /** After that the node leaves without a word, and others find its session run out. */
  readonly leaveTimeoutMs: number;
}

export type NodeLifeEvent =
  | { readonly type: "map.read"; readonly named: boolean }
  /** Another has ended the session: it took this node for dead. */
  | { readonly type: "session.ended" }
  | { readonly type: "session.late" }
  | { readonly type: "session.renewed" }
  | { readonly type: "stop.requested" }
  /** NATS does not answer. */
  | { readonly type: "look.failed" };

export const nodeLife = setup({
  types: {} as { input: NodeLifeInput; context: NodeLifeInput; events: NodeLifeEvent },
  actions: {
    begin: () => {},
    dropAll: () => {},
    reportOutcast: () => {},
    look: () => {},
    endSession: () => {},
  },
  guards: {
    isNamed: ({ event }) => event.type === "map.read" && event.named,
    isNotNamed: ({ event }) => event.type === "map.read" && !event.named,
  },
  delays: { leaveTimeout: ({ context }) => context.leaveTimeoutMs },
}).createMachine({
  id: "node",
  context: ({ input }) => input,
  initial: "joining",
  states: {
    joining: {
      entry: ["begin", "look"],
      on: {
        "map.read": { guard: "isNamed", target: "member" },
        "session.ended": "outcast",
        "stop.requested": "withdrawing",
      },
    },
    member: {
      initial: "assured",
      on: {
        "map.read": { guard: "isNotNamed", target: "outcast" },
        "session.ended": "outcast",
        "stop.requested": "leaving",
      },
      states: {
        assured: { on: { "session.late": "doubtful" } },
        doubtful: { on: { "session.renewed": { target: "assured", actions: "look" } } },
      },
    },
    outcast: {
      entry: ["dropAll", "reportOutcast"],
      always: "joining",
    },
    withdrawing: {
      entry: "look",
      on: {
        "map.read": { guard: "isNotNamed", target: "left" },
        "look.failed": "left",
        "session.ended": "left",
        "session.late": "left",
      },
      after: { leaveTimeout: "left" },
    },
    leaving: {
      entry: "look",
      on: {
        "map.read": { guard: "isNotNamed", target: "left" },
        "session.ended": "left",
        "session.late": "left",
      },
      after: { leaveTimeout: "left" },
    },
    left: {
      type: "final",
      entry: ["dropAll", "endSession"],
    },
  },
});
