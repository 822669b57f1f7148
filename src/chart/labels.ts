/** How events, guards, actions and delays are called towards people. Knows definitions, and no nodes of XState. */
import { brief, isRecord, listOf } from "./repair.ts";
import type { Tone } from "./model.ts";

/** What the label of an event may depend on besides its type. */
export interface EventPlace {
  readonly sourceId: string;
  /** Keys of the source and its ancestors, without the root's. */
  readonly keys: readonly string[];
  readonly delay?: number | string;
  readonly invokes: readonly { readonly id: string; readonly src: string }[];
}

export interface EventLabel {
  readonly label: string;
  readonly short: string;
  readonly tone: Tone;
  readonly delay?: number | string;
}

export function eventLabel(type: string, place: EventPlace): EventLabel {
  if (type === "") return { label: "always", short: "always", tone: "always" };
  if (type === "*") return { label: "any event", short: "any event", tone: "plain" };
  const after = afterPart(type, place);
  if (after !== undefined) {
    const label = `after ${typeof after === "number" ? duration(after) : after}`;
    return { label, short: withoutKeys(label, place), tone: "timer", delay: after };
  }
  const state = rest(type, "xstate.done.state.");
  if (state !== undefined) return { label: state === place.sourceId ? "done" : `done: ${state}`, short: "done", tone: "ok" };
  return (
    actorLabel(type, "xstate.done.actor.", "done", "ok", place) ??
    actorLabel(type, "xstate.error.actor.", "error", "error", place) ??
    actorLabel(type, "xstate.snapshot.", "snapshot", "plain", place) ?? {
      label: type,
      short: withoutKeys(type, place),
      tone: "plain",
    }
  );
}

function rest(type: string, prefix: string): string | undefined {
  return type.startsWith(prefix) ? type.slice(prefix.length) : undefined;
}

function afterPart(type: string, place: EventPlace): number | string | undefined {
  if (place.delay !== undefined) return place.delay;
  const text = rest(type, "xstate.after.");
  if (text === undefined) return undefined;
  const name = text.endsWith(`.${place.sourceId}`) ? text.slice(0, -place.sourceId.length - 1) : text;
  return name !== "" && Number.isFinite(Number(name)) ? Number(name) : name;
}

function actorLabel(type: string, prefix: string, word: string, tone: Tone, place: EventPlace): EventLabel | undefined {
  const id = rest(type, prefix);
  if (id === undefined) return undefined;
  const invoke = place.invokes.find((one) => one.id === id);
  // XState makes up ids such as `0.order.charging`; the source tells more.
  const name = invoke !== undefined && /^\d+\./.test(id) ? invoke.src : id;
  const clear = (invoke !== undefined && place.invokes.length === 1) || place.keys.includes(id);
  return { label: `${word}: ${name}`, short: clear ? word : `${word}: ${name}`, tone };
}

/** `step.started.fetch` within `fetch` is `step.started`. */
function withoutKeys(text: string, { keys }: EventPlace): string {
  const key = keys.find((one) => text.endsWith(`.${one}`) && text.length > one.length + 1);
  return key === undefined ? text : text.slice(0, -key.length - 1);
}

const UNITS = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1_000],
] as const;

/** `90000` is `1m 30s`; parts of a second only below a minute. */
export function duration(ms: number): string {
  if (!Number.isFinite(ms) || ms < 1_000) return `${ms}ms`;
  if (ms < 60_000) return `${Number((ms / 1_000).toFixed(2))}s`;
  const parts: string[] = [];
  let left = Math.round(ms / 1_000) * 1_000;
  for (const [unit, size] of UNITS) {
    const count = Math.floor(left / size);
    if (count > 0 && parts.length < 2) parts.push(`${count}${unit}`);
    left -= count * size;
  }
  return parts.join(" ");
}

export function guardLabel(guard: unknown): string | undefined {
  if (guard === undefined || guard === null) return undefined;
  if (typeof guard === "string") return guard;
  if (typeof guard !== "function" && !isRecord(guard)) return brief(guard);
  const { name, guards } = partsOf(guard);
  const inner = guards.map((one) => {
    const label = guardLabel(one) ?? "?";
    return /^\S+$|^not \S+$/.test(label) ? label : `(${label})`;
  });
  const word = name.replace(/^xstate\./, "");
  if (inner.length > 0 && (word === "and" || word === "or")) return inner.join(` ${word} `);
  if (inner.length === 1 && word === "not") return `not ${inner[0]}`;
  if (word === "stateIn" || word === "state in") return "in another state";
  return word === "" ? "guard" : word;
}

function partsOf(guard: unknown): { readonly name: string; readonly guards: readonly unknown[] } {
  const holder = (typeof guard === "function" ? guard : isRecord(guard) ? guard : {}) as Readonly<Record<string, unknown>>;
  const name = typeof holder["type"] === "string" ? holder["type"] : typeof holder["name"] === "string" ? holder["name"] : "";
  // Beside the name as XState has them, or as parameters, as `describeMachine` writes them.
  return { name, guards: listOf(holder["guards"] ?? paramsOf(holder)["guards"]) };
}

function paramsOf(holder: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return isRecord(holder["params"]) ? holder["params"] : {};
}

/** Built-in actions that say little by their own name. */
const BUILT_IN: Readonly<Record<string, string>> = {
  "xstate.assign": "assign",
  "xstate.emit": "emit",
  "xstate.enqueueActions": "enqueue actions",
  "xstate.log": "log",
  "xstate.sendTo": "send",
  "xstate.forwardTo": "forward",
  "xstate.sendParent": "send to parent",
  "xstate.spawnChild": "spawn",
  "xstate.stopChild": "stop",
};

/** Undefined for the machinery of `after`: timers that are set and cancelled are its edges. */
export function actionLabel(action: unknown): string | undefined {
  if (typeof action === "string") return hidden(action) ? undefined : (BUILT_IN[action] ?? action);
  const isFunction = typeof action === "function";
  if (!isFunction && !isRecord(action)) return brief(action);
  const holder = action as Readonly<Record<string, unknown>>;
  const type = typeof holder["type"] === "string" ? holder["type"] : typeof holder["name"] === "string" ? holder["name"] : "";
  if (type === "xstate.raise") {
    const event = holder["event"] ?? paramsOf(holder)["event"];
    const raised = isRecord(event) && typeof event["type"] === "string" ? event["type"] : undefined;
    return raised === undefined || raised.startsWith("xstate.after.") ? undefined : `raise ${raised}`;
  }
  if (hidden(type)) return undefined;
  return type === "" ? "action" : (BUILT_IN[type] ?? type);
}

function hidden(type: string): boolean {
  return type === "xstate.raise" || type === "xstate.cancel";
}

export function actionLabels(actions: unknown): readonly string[] {
  return listOf(actions)
    .map(actionLabel)
    .filter((label) => label !== undefined);
}
