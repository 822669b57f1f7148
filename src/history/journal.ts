/**
 * The journal's format, as far as the history reads it: the one place where this folder looks at it.
 */
import type { Fact } from "../engine/facts.ts";

export { decodeBatch } from "../engine/facts.ts";
export type { CreatedFact, Fact, MachineEvent, SnapshotLine } from "../engine/facts.ts";

/** A fact about one run. */
export type RunFact = Extract<Fact, { readonly run: string }>;
