/**
 * What must not be seen, kept out of the file and yet not lost: a fact is stored with its fields redacted, and what they were is
 * beside it, encrypted. The key is the cluster's and is not in the file (the engine keeps it in NATS, where the events and
 * inboxes are anyway): a copy of the file tells nothing, and a program that asks for its run still gets its real values.
 */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import type { Redactor } from "../protocol/redact.ts";
import type { RunFact } from "./journal.ts";
import type { Stay, StoredFact } from "./stored-facts.ts";

const ALGORITHM = "aes-256-gcm";
const IV_BYTES = 12;
const TAG_BYTES = 16;

/** The parts of a fact that come from users. */
interface Private {
  input?: unknown;
  meta?: unknown;
  error?: unknown;
  output?: unknown;
}

/** A fact that has lost something; `x` has it. */
interface Sealed {
  readonly x?: string;
}

type Mutable = Record<string, unknown>;

/**
 * Hides what is to be hidden in a fact, which is changed. With a key (64 hexadecimal digits) it can be opened again, without one
 * it is gone. True: something was hidden.
 */
export function sealFact(fact: RunFact, redactor: Redactor, key: string | undefined): boolean {
  const was: Private = {};
  const hide = (holder: object, name: keyof Private, redact: (value: object) => object): void => {
    const value = (holder as Mutable)[name];
    if (typeof value !== "object" || value === null) return;
    const next = redact(value);
    if (next === value) return;
    was[name] = value;
    (holder as Mutable)[name] = next;
  };
  const value = (given: object): object => redactor.value(given);
  const error = (given: object): object => redactor.error(given);
  if (fact.k === "created") {
    hide(fact, "input", value);
    hide(fact, "meta", value);
  } else if (fact.k === "event") {
    hide(fact.ev, "output", value);
    hide(fact.ev, "error", error);
  } else if (fact.k === "finished") hide(fact, "error", error);
  if (Object.keys(was).length === 0) return false;
  if (key !== undefined) (fact as unknown as Mutable)["x"] = seal(JSON.stringify(was), key);
  return true;
}

/** The facts as people may see them, by the rules of now. */
export function redactStays(stays: readonly Stay[], redactor: Redactor): readonly Stay[] {
  return stays.map((stay) => ({
    ...stay,
    facts: stay.facts.map((fact) => {
      const { x: _, ...copy } = (fact.k === "event" ? { ...fact, ev: { ...fact.ev } } : { ...fact }) as StoredFact & Sealed;
      sealFact(copy as unknown as RunFact, redactor, undefined);
      return copy as StoredFact;
    }),
  }));
}

/** The facts as they were. What cannot be opened (another key) stays hidden. */
export function openStays(stays: readonly Stay[], key: string | undefined): readonly Stay[] {
  if (key === undefined) return stays;
  return stays.map((stay) =>
    stay.facts.some(isSealed) ? { ...stay, facts: stay.facts.map((fact) => openFact(fact, key)) } : stay,
  );
}

function openFact(fact: StoredFact, key: string): StoredFact {
  if (!isSealed(fact)) return fact;
  const text = open(fact.x, key);
  if (text === undefined) return fact;
  const was = JSON.parse(text) as Private;
  if (fact.k === "event") return { ...fact, ev: { ...fact.ev, ...was } };
  return { ...fact, ...was } as StoredFact;
}

function isSealed(fact: StoredFact & Sealed): fact is StoredFact & Required<Sealed> {
  return typeof fact.x === "string";
}

function seal(text: string, key: string): string {
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv(ALGORITHM, Buffer.from(key, "hex"), iv);
  const sealed = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
  return Buffer.concat([iv, cipher.getAuthTag(), sealed]).toString("base64");
}

function open(sealed: string, key: string): string | undefined {
  const bytes = Buffer.from(sealed, "base64");
  try {
    const decipher = createDecipheriv(ALGORITHM, Buffer.from(key, "hex"), bytes.subarray(0, IV_BYTES), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAuthTag(bytes.subarray(IV_BYTES, IV_BYTES + TAG_BYTES));
    return decipher.update(bytes.subarray(IV_BYTES + TAG_BYTES), undefined, "utf8") + decipher.final("utf8");
  } catch {
    return undefined;
  }
}
