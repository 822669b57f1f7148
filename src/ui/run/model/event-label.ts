/**
 * The events of a run in the words of its users: `xstate.done.actor.write` is "write succeeded". The log shows the exact type
 * beside it. Pure.
 */
export type EventTone = "plain" | "ok" | "bad" | "warn" | "active" | "timer" | "muted";

export interface EventLabel {
  readonly text: string;
  readonly tone: EventTone;
  readonly step?: string;
}

/** Prefix of a type that ends with a step's name; what is said of the step. */
const STEP_EVENTS: readonly (readonly [prefix: string, text: string, tone: EventTone])[] = [
  ["step.started.", "started", "active"],
  ["step.stopped.", "has stopped", "muted"],
  ["step.returned.", "was handed back", "warn"],
  ["step.lost.", "lost its worker", "bad"],
  ["xstate.done.actor.", "succeeded", "ok"],
  ["xstate.error.actor.", "failed", "bad"],
];

const FACTS: Readonly<Record<string, readonly [text: string, tone: EventTone]>> = {
  created: ["created", "plain"],
  scheduled: ["waits for its time", "muted"],
  keying: ["wants its key", "muted"],
  queued: ["waits in line", "warn"],
  parked: ["held for another limit", "warn"],
  moved: ["changes partition", "muted"],
  "run.admitted": ["admitted", "active"],
  "run.succeeded": ["run succeeded", "ok"],
  "run.failed": ["run failed", "bad"],
  "run.cancelled": ["run cancelled", "muted"],
  "run.arrived": ["asks for a slot", "plain"],
  "run.released": ["gives its slot back", "plain"],
  "run.withdrawn": ["leaves the line", "muted"],
  "run.moved": ["moves on", "muted"],
  dispatch: ["dispatch", "active"],
  stop: ["stop", "warn"],
};

/** What the timers of the states mean when they fire. */
const TIMERS: Readonly<Record<string, string>> = {
  ready: "found no worker in time",
  executing: "timed out",
  timedOut: "did not stop in time",
  stopping: "did not stop in time",
  backoff: "is tried again",
};

const TIMER = /^xstate\.after\.(?:.*)\.run\.running\.([^.]+)\.(?:attempt\.)?([A-Za-z]+)$/;

/** What its machine is told to do; the facts of the same names tell that it was done. */
const ORDERS: Readonly<Record<string, readonly [text: string, tone: EventTone]>> = {
  "run.cancelled": ["cancel", "warn"],
  "run.failed": ["fail", "bad"],
};

/** `fed`: an event of the machine, where a fact has the same name. */
export function labelOf(type: string, data?: unknown, fed = false): EventLabel {
  const timer = TIMER.exec(type);
  if (timer !== null) {
    const [, step = "", state = ""] = timer;
    return {
      text: `${step} ${(Object.hasOwn(TIMERS, state) && TIMERS[state]) || "timer"}`,
      tone: state === "backoff" ? "timer" : "bad",
      step,
    };
  }
  for (const [prefix, text, tone] of STEP_EVENTS) {
    if (!type.startsWith(prefix)) continue;
    const step = type.slice(prefix.length);
    return { text: `${step} ${text}`, tone, step };
  }
  const table = fed && Object.hasOwn(ORDERS, type) ? ORDERS : FACTS;
  const fact = Object.hasOwn(table, type) ? table[type] : undefined;
  if (fact === undefined)
    return {
      text: type.startsWith("xstate.after.") ? "timer" : type,
      tone: type.startsWith("xstate.after.") ? "timer" : "plain",
    };
  const step = stepIn(data);
  const [text, tone] = fact;
  return step === undefined ? { text, tone } : { text: `${text} ${step}`, tone, step };
}

function stepIn(data: unknown): string | undefined {
  if (typeof data !== "object" || data === null || !("step" in data)) return undefined;
  return typeof data.step === "string" ? data.step : undefined;
}
