/** Machines that are difficult to draw, and large ones: for the tests of the chart model and of the chart in the browser. */

export const orderRun = {
  id: "orderRun",
  initial: "queued",
  after: { runTimeout: { target: ".failed", actions: "recordError" } },
  on: { CANCEL: { target: ".cancelled", actions: "persist" } },
  states: {
    queued: { on: { SLOT_GRANTED: "running" } },
    running: {
      entry: ["persist", "notifyGroup"],
      initial: "reserveStock",
      on: { PAUSE: "paused" },
      onDone: "succeeded",
      states: {
        reserveStock: {
          invoke: {
            src: "reserveStock",
            onDone: "chargeCard",
            onError: { target: "#orderRun.retrying", guard: "canRetry", actions: "recordError" },
          },
        },
        chargeCard: {
          invoke: {
            src: "chargeCard",
            onDone: "fulfil",
            onError: [
              { guard: "canRetry", target: "#orderRun.retrying", actions: "recordError" },
              { target: "#orderRun.compensating", actions: "recordError" },
            ],
          },
        },
        fulfil: {
          type: "parallel",
          onDone: "finished",
          states: {
            shipping: {
              initial: "pending",
              states: { pending: { invoke: { src: "shipOrder", onDone: "shipped" } }, shipped: { type: "final" } },
            },
            notify: {
              initial: "sending",
              states: { sending: { invoke: { src: "sendEmail", onDone: "sent" } }, sent: { type: "final" } },
            },
          },
        },
        finished: { type: "final" },
        where: { type: "history", history: "deep" },
      },
    },
    paused: { on: { RESUME: "running.where" } },
    retrying: {
      entry: "countAttempt",
      initial: "backoff",
      states: {
        backoff: { after: { backoff: "ready" }, on: { RETRY_NOW: "ready" } },
        ready: { always: [{ guard: "isRetryable", target: "#orderRun.queued" }, { target: "#orderRun.failed" }] },
      },
    },
    compensating: { invoke: { id: "refund", src: "refund", onDone: "failed", onError: "failed" } },
    succeeded: { type: "final", entry: "emitDone" },
    failed: { type: "final" },
    cancelled: { type: "final" },
  },
};

/** `level0.level1.…`, each with a way to the innermost and out again. */
export function deep(levels: number): Record<string, unknown> {
  let inner: Record<string, unknown> = { on: { OUT: "#deep" } };
  for (let level = levels - 1; level >= 0; level--) {
    inner = { initial: `level${level}`, states: { [`level${level}`]: inner, other: { on: { BACK: `level${level}` } } } };
  }
  return { id: "deep", ...inner };
}

export const parallelRoot = {
  id: "player",
  type: "parallel",
  on: { RESET: [".video.playing", ".sound.on"], STOP: { target: [".video.stopped", ".sound.off"], actions: "stop" } },
  states: {
    video: { initial: "stopped", states: { stopped: { on: { PLAY: "playing" } }, playing: { on: { PAUSE: "stopped" } } } },
    sound: { initial: "on", states: { on: { on: { MUTE: "off" } }, off: { on: { MUTE: "on" } } } },
  },
};

export const histories = {
  id: "histories",
  initial: "on",
  states: {
    on: {
      initial: "a",
      states: {
        a: { initial: "a1", states: { a1: { on: { NEXT: "a2" } }, a2: {} } },
        b: {},
        last: { type: "history", target: "b" },
        exact: { type: "history", history: "deep" },
      },
      on: { OFF: "off" },
    },
    off: { on: { ON: "on.last", RESTORE: "on.exact" } },
  },
};

export const selves = {
  id: "selves",
  initial: "a",
  states: {
    a: {
      initial: "a1",
      on: {
        INTERNAL: { target: "a" },
        EXTERNAL: { target: "a", reenter: true },
        STAY: { actions: "count" },
        AGAIN: { reenter: true, actions: "count" },
        FORBIDDEN: {},
        INSIDE: ".a2",
        "order.*": { actions: "log" },
        "*": { guard: "isOdd", target: "b" },
      },
      states: { a1: {}, a2: {} },
    },
    b: {},
  },
};

export const timers = {
  id: "timers",
  initial: "idle",
  states: {
    idle: { after: { 250: "busy", 1500: { guard: "isLate", target: "busy" }, 90000: "busy" }, tags: ["resting"] },
    busy: {
      after: { patience: [{ guard: "isDone", target: "idle" }, { actions: "complain" }] },
      always: { guard: "isIdle", target: "idle" },
    },
  },
};

/** `groups` compounds of `size` states each. */
export function large(groups: number, size: number): Record<string, unknown> {
  const states: Record<string, unknown> = {};
  for (let g = 0; g < groups; g++) {
    const inner: Record<string, unknown> = {};
    for (let i = 0; i < size; i++) {
      inner[`s${i}`] = {
        on: {
          NEXT: `s${(i + 1) % size}`,
          ...(i % 3 === 0 && { SKIP: `s${(i + 2) % size}` }),
          ...(i % 4 === 0 && { FAIL: `#large.g${(g + 1) % groups}` }),
        },
        ...(i % 6 === 1 && { after: { [1000 * i]: `s${(i + 3) % size}` } }),
      };
    }
    const on = { JUMP: `g${(g + 1) % groups}`, BACK: `g${(g + groups - 1) % groups}` };
    states[`g${g}`] = { initial: "s0", states: inner, on };
  }
  return { id: "large", initial: "g0", states };
}
