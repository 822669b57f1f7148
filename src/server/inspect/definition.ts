/**
 * Machine definitions of foreign programs, as their clients send them: JSON texts in which functions have become `{ type }`, and
 * in which what lies below a depth limit has become "[Object]". Only what a chart is drawn from is kept, in a form that
 * `createMachine` takes; data in it (context, inputs, parameters) is redacted.
 */
import { createHash } from "node:crypto";
import type { MachineDefinition } from "../../protocol/record.ts";
import { isRecord } from "./message.ts";

export interface ReadDefinition {
  readonly machine: MachineDefinition;
  /** Something was cut off by the sender's depth limit. */
  readonly cut: boolean;
}

const CUT = /^\[(Object|Array|\.\.\.)\]$/;
const MAX_DEPTH = 100;
/** States of one machine; a chart of more could not be read anyway. */
const MAX_STATES = 5_000;
const NOT_A_MACHINE = undefined;

/** The machine, or undefined for what is none (promises, callbacks; clients describe these as `{ id }`). Throws on nonsense. */
export function readDefinition(raw: unknown, name: string, redact: (value: unknown) => unknown): ReadDefinition | undefined {
  const parsed: unknown = typeof raw === "string" ? JSON.parse(raw) : raw;
  if (!isRecord(parsed)) return NOT_A_MACHINE;
  if (parsed["states"] === undefined && parsed["on"] === undefined && parsed["initial"] === undefined) return NOT_A_MACHINE;
  const reader = new Reader(redact);
  const definition = reader.state(parsed, 0);
  if (typeof definition["id"] !== "string" || definition["id"] === "") definition["id"] = name === "" ? "machine" : name;
  const text = JSON.stringify(definition);
  const hash = createHash("sha256").update(text).digest("hex").slice(0, 32);
  return { machine: { hash, name: definition["id"] as string, definition }, cut: reader.cut };
}

class Reader {
  cut = false;
  #states = 0;
  readonly #redact: (value: unknown) => unknown;

  constructor(redact: (value: unknown) => unknown) {
    this.#redact = redact;
  }

  state(raw: Record<string, unknown>, depth: number): Record<string, unknown> {
    if (depth > MAX_DEPTH || ++this.#states > MAX_STATES) throw new Error("the machine is too large");
    const state: Record<string, unknown> = {};
    for (const field of ["id", "initial", "type", "history", "description"] as const) {
      const value = raw[field];
      if (typeof value === "string") state[field] = value;
    }
    if (isRecord(raw["initial"])) state["initial"] = this.#transition(raw["initial"]) ?? {};
    if (typeof raw["target"] === "string") state["target"] = raw["target"];
    if (raw["tags"] !== undefined) state["tags"] = list(raw["tags"]).filter((tag) => typeof tag === "string");
    for (const field of ["entry", "exit"] as const) if (raw[field] !== undefined) state[field] = this.#actions(raw[field]);
    for (const field of ["on", "after"] as const) {
      if (raw[field] !== undefined) state[field] = this.#record(raw[field], (value) => this.#transitions(value));
    }
    for (const field of ["always", "onDone"] as const) {
      if (raw[field] !== undefined) state[field] = this.#transitions(raw[field]) ?? [];
    }
    if (raw["invoke"] !== undefined) state["invoke"] = this.#cutOf(raw["invoke"]).flatMap((one) => this.#invoke(one));
    if (raw["states"] !== undefined) {
      state["states"] = this.#record(raw["states"], (value) => {
        if (isRecord(value)) return this.state(value, depth + 1);
        if (isCut(value)) this.cut = true;
        // Its name is known, so that transitions to it can be drawn.
        return {};
      });
      if (Object.keys(state["states"] as object).length === 0) {
        delete state["states"];
        delete state["initial"];
        if (state["type"] === "parallel") delete state["type"];
      }
    }
    return state;
  }

  #record(raw: unknown, read: (value: unknown) => unknown): Record<string, unknown> {
    if (isCut(raw)) this.cut = true;
    const found: [string, unknown][] = [];
    if (isRecord(raw)) {
      for (const [key, value] of Object.entries(raw)) {
        const one = read(value);
        if (one !== undefined && key !== "__proto__") found.push([key, one]);
      }
    }
    return Object.fromEntries(found);
  }

  /** Strings, objects and lists of these; undefined where nothing of it can be used. */
  #transitions(raw: unknown): unknown {
    if (raw === null) return undefined;
    const all = this.#cutOf(raw).flatMap((one): readonly unknown[] => {
      if (typeof one === "string") return [one];
      const transition = isRecord(one) ? this.#transition(one) : undefined;
      return transition === undefined ? [] : [transition];
    });
    return all.length === 0 && raw !== "" && !Array.isArray(raw) ? undefined : all;
  }

  #transition(raw: Record<string, unknown>): Record<string, unknown> | undefined {
    const transition: Record<string, unknown> = {};
    const { target } = raw;
    if (target !== undefined && target !== null) {
      const targets = this.#cutOf(target).filter((one) => typeof one === "string");
      if (targets.length === 0) return undefined;
      transition["target"] = targets.length === 1 ? targets[0] : targets;
    }
    if (raw["guard"] !== undefined) transition["guard"] = this.#guard(raw["guard"], 0);
    if (raw["actions"] !== undefined) transition["actions"] = this.#actions(raw["actions"]);
    if (raw["reenter"] === true) transition["reenter"] = true;
    if (typeof raw["description"] === "string") transition["description"] = raw["description"];
    return transition;
  }

  #guard(raw: unknown, depth: number): unknown {
    if (typeof raw === "string") return isCut(raw) ? this.#lost("guard") : raw;
    if (!isRecord(raw) || depth > 10) return { type: "guard" };
    const { type, params } = raw;
    return {
      type: typeof type === "string" && type !== "" ? type : "guard",
      ...(params === undefined ? {} : { params: this.#redact(params) }),
    };
  }

  #actions(raw: unknown): unknown[] {
    return this.#cutOf(raw).flatMap((one): readonly unknown[] => {
      if (typeof one === "string") return [one];
      if (!isRecord(one)) return [];
      const { type, params } = one;
      const named = typeof type === "string" && type !== "" ? type : "inline";
      return [{ type: named, ...(isRecord(params) ? { params: this.#redact(params) } : {}) }];
    });
  }

  #invoke(raw: unknown): Record<string, unknown>[] {
    if (!isRecord(raw)) return typeof raw === "string" ? [{ src: raw }] : [];
    const { src, id } = raw;
    const invoke: Record<string, unknown> = { src: typeof src === "string" && !isCut(src) ? src : nameOfLogic(src) };
    if (typeof id === "string") invoke["id"] = id;
    for (const field of ["onDone", "onError", "onSnapshot"] as const) {
      if (raw[field] === undefined) continue;
      const transitions = this.#transitions(raw[field]);
      if (transitions !== undefined) invoke[field] = transitions;
    }
    return [invoke];
  }

  /** As a list, without what was cut off. */
  #cutOf(raw: unknown): readonly unknown[] {
    return list(raw).filter((one) => {
      if (!isCut(one)) return true;
      this.cut = true;
      return false;
    });
  }

  #lost(what: string): unknown {
    this.cut = true;
    return { type: what };
  }
}

/** Inline logic arrives as what is left of its object: a machine has an id, everything else is nameless. */
function nameOfLogic(src: unknown): string {
  if (!isRecord(src)) return "inline";
  for (const part of [src, src["config"]]) {
    if (!isRecord(part)) continue;
    for (const field of ["id", "type"] as const) {
      const value = part[field];
      if (typeof value === "string" && value !== "") return value;
    }
  }
  return "inline";
}

function isCut(value: unknown): boolean {
  return typeof value === "string" && CUT.test(value);
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [value];
}
