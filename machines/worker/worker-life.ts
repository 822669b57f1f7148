/**
 * The life of a worker node, from connecting to NATS to its end. Pure: what it wants done are actions as data, carried out by
 * `src/worker/start-worker.ts`, which answers with events.
 *
 * Modes:
 * - `connecting`: until NATS answers. `registering`: until an engine has taken the workflows.
 * - `running`: takes work. Being cut off from NATS for too long (`contact.lost`) costs it its work, not its life.
 * - `draining`: takes nothing new, finishes what runs; after the drain timeout `returning`: what still runs is aborted and
 *   handed back. Both end when nothing runs any more (`work.finished`).
 * - `delivering`: waits until the server has every result, at most the delivery timeout.
 * - `closing`: says goodbye and disconnects. `stopped`: the end.
 *
 * Actions: `connect`, `register`, `open` (take work), `announce {mode}`, `checkWork` (send `work.finished` once nothing runs),
 * `returnWork {reason}` (abort all, hand it back), `deliver` (send `results.delivered` once all are), `reportUndelivered`,
 * `close` (send `connection.closed` when done). `timer.set` and `timer.cancel` are those of the stepper.
 */
import { setup } from "xstate";

export type WorkerMode = "running" | "draining" | "stopped";

export interface WorkerLifeInput {
  readonly drainTimeoutMs: number;
  readonly deliveryTimeoutMs: number;
}

export type WorkerLifeEvent =
  | { readonly type: "nats.connected" }
  | { readonly type: "workflows.registered" }
  /** Connecting or registering cannot succeed; who started the worker has the error. */
  | { readonly type: "start.failed" }
  | { readonly type: "contact.lost" }
  | { readonly type: "stop.requested" }
  | { readonly type: "work.finished" }
  | { readonly type: "results.delivered" }
  | { readonly type: "connection.closed" };

const announce = (mode: WorkerMode) => ({ type: "announce", params: { mode } }) as const;
const returnWork = (reason: "shutdown" | "disconnected") => ({ type: "returnWork", params: { reason } }) as const;

export const workerLife = setup({
  types: {} as { input: WorkerLifeInput; context: WorkerLifeInput; events: WorkerLifeEvent },
  actions: {
    connect: () => {},
    register: () => {},
    open: () => {},
    announce: (_: unknown, _params: { readonly mode: WorkerMode }) => {},
    checkWork: () => {},
    returnWork: (_: unknown, _params: { readonly reason: "shutdown" | "disconnected" }) => {},
    deliver: () => {},
    reportUndelivered: () => {},
    close: () => {},
  },
  delays: {
    drainTimeout: ({ context }) => context.drainTimeoutMs,
    deliveryTimeout: ({ context }) => context.deliveryTimeoutMs,
  },
}).createMachine({
  id: "worker",
  context: ({ input }) => input,
  initial: "connecting",
  states: {
    connecting: {
      entry: "connect",
      on: { "nats.connected": "registering", "start.failed": "closing", "stop.requested": "closing" },
    },
    registering: {
      entry: "register",
      on: { "workflows.registered": "running", "start.failed": "closing", "stop.requested": "closing" },
    },
    running: {
      entry: ["open", announce("running")],
      on: { "stop.requested": "draining", "contact.lost": { actions: [returnWork("disconnected")] } },
    },
    draining: {
      entry: [announce("draining"), "checkWork"],
      on: { "work.finished": "delivering", "contact.lost": { actions: [returnWork("disconnected")] } },
      after: { drainTimeout: "returning" },
    },
    returning: {
      entry: [returnWork("shutdown"), "checkWork"],
      on: { "work.finished": "delivering" },
    },
    delivering: {
      entry: "deliver",
      on: { "results.delivered": "closing" },
      after: { deliveryTimeout: { target: "closing", actions: ["reportUndelivered"] } },
    },
    closing: {
      entry: [announce("stopped"), "close"],
      on: { "connection.closed": "stopped" },
    },
    stopped: { type: "final" },
  },
});
