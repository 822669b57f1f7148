/**
 * The input of a run, for its handlers and key functions: inline or loaded from where it is stored, then parsed by the
 * workflow's schema. A stored payload is kept for a while, since several steps and keys of one run want it.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { ErrorData, EventRef, PayloadRef } from "../protocol/work.ts";
import type { Names } from "../nats/subjects.ts";
import { formatIssues } from "../errors.ts";
import type { ParsedInput } from "../workflow/workflow.ts";
import type { ServedWorkflow } from "./handler-registry.ts";

/** What carries an input: an assignment, or an item of a key batch. */
export interface InputSource {
  readonly input?: unknown;
  readonly inputRef?: PayloadRef;
  readonly event?: EventRef;
}

export type LoadedInput =
  | { readonly ok: true; readonly value: unknown }
  /** The input can never be used. */
  | { readonly ok: false; readonly error: ErrorData }
  /** It could not be read now: the work is to be handed back. */
  | { readonly ok: false; readonly unavailable: string };

/** Reads one message of a stream; undefined where it is gone. Rejects where it cannot be known now. */
export type ReadMessage = (stream: string, seq: number) => Promise<{ readonly data: Uint8Array } | undefined>;

/** Texts of stored payloads that are kept, by number and by characters in all. */
const MAX_KEPT = 256;
const MAX_KEPT_CHARACTERS = 8_000_000;
const READ_ATTEMPTS = 4;
const RETRY_MS = 250;

export class InputLoader {
  readonly #names: Pick<Names, "eventsStream">;
  readonly #read: ReadMessage;
  readonly #kept = new Map<string, string>();
  readonly #loading = new Map<string, Promise<string | undefined>>();
  #keptCharacters = 0;

  readonly #retryMs: number;

  /** `retryMs`: the wait before a failed read is repeated; three times, each longer. */
  constructor(names: Pick<Names, "eventsStream">, read: ReadMessage, retryMs = RETRY_MS) {
    this.#names = names;
    this.#read = read;
    this.#retryMs = retryMs;
  }

  /** The parsed input; a promise only where it must be fetched or the schema is asynchronous. Never throws and never rejects. */
  load(workflow: ServedWorkflow, source: InputSource): LoadedInput | Promise<LoadedInput> {
    if (source.inputRef === undefined) return this.#parse(workflow, source.input);
    const { stream, seq } = source.inputRef;
    const kept = this.#kept.get(`${stream} ${seq}`);
    if (kept !== undefined) return this.#parseStored(workflow, source.inputRef, kept);
    return this.#fetch(stream, seq).then(
      (text): LoadedInput | Promise<LoadedInput> =>
        text === undefined
          ? {
              ok: false,
              error: {
                name: "Error",
                code: "INPUT_LOST",
                message: `the run's input is gone: stream ${stream} has no message ${seq}`,
                retryable: false,
              },
            }
          : this.#parseStored(workflow, { stream, seq }, text),
      (error: unknown) => ({ ok: false, unavailable: error instanceof Error ? error.message : String(error) }),
    );
  }

  #parseStored(workflow: ServedWorkflow, { stream, seq }: PayloadRef, text: string): LoadedInput | Promise<LoadedInput> {
    let stored: unknown;
    try {
      // Parsed for each use: handlers may change what they get.
      stored = JSON.parse(text);
    } catch (error) {
      const message = `the run's input, message ${seq} of stream ${stream}, is not JSON: ${(error as Error).message}`;
      return { ok: false, error: { name: "InputInvalidError", code: "INPUT_INVALID", message, retryable: false } };
    }
    return this.#parse(
      workflow,
      stream === this.#names.eventsStream ? stored : (stored as { readonly input?: unknown } | null)?.input,
    );
  }

  #parse(workflow: ServedWorkflow, value: unknown): LoadedInput | Promise<LoadedInput> {
    const parsed = workflow.internals.parseInput(value);
    return parsed instanceof Promise ? parsed.then((one) => judge(workflow, one)) : judge(workflow, parsed);
  }

  #fetch(stream: string, seq: number): Promise<string | undefined> {
    const key = `${stream} ${seq}`;
    let loading = this.#loading.get(key);
    if (loading === undefined) {
      loading = this.#readText(stream, seq)
        .then((text) => {
          if (text !== undefined) this.#keep(key, text);
          return text;
        })
        .finally(() => this.#loading.delete(key));
      this.#loading.set(key, loading);
    }
    return loading;
  }

  async #readText(stream: string, seq: number): Promise<string | undefined> {
    for (let attempt = 1; ; attempt++) {
      try {
        const message = await this.#read(stream, seq);
        if (message === undefined) return undefined;
        return Buffer.from(message.data.buffer, message.data.byteOffset, message.data.byteLength).toString();
      } catch (error) {
        // What is handed back is handed out again at once: without a wait, a stream that cannot be read would keep both ends busy.
        if (attempt >= READ_ATTEMPTS) throw error;
        await delay(this.#retryMs * attempt);
      }
    }
  }

  #keep(key: string, text: string): void {
    this.#kept.set(key, text);
    this.#keptCharacters += text.length;
    for (const [oldest, old] of this.#kept) {
      if (this.#kept.size <= MAX_KEPT && this.#keptCharacters <= MAX_KEPT_CHARACTERS) break;
      this.#kept.delete(oldest);
      this.#keptCharacters -= old.length;
    }
  }
}

function judge(workflow: ServedWorkflow, parsed: ParsedInput): LoadedInput {
  if (parsed.ok) return parsed;
  const message = `the input does not fit workflow "${workflow.name}": ${formatIssues(parsed.issues)}`;
  return {
    ok: false,
    error: { name: "InputInvalidError", code: "INPUT_INVALID", message, retryable: false, issues: parsed.issues },
  };
}
