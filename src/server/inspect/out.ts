/**
 * `/inspect/out`: runs for Stately's own receivers (`createWebSocketReceiver`): one (`?run=<id>`), or those that are live, as
 * far as a page could show them. What has happened first, then what happens. The receiver says nothing, and nothing is heard.
 */
import type { IncomingMessage } from "node:http";
import type { WebSocket } from "ws";
import { isRunNotFoundError } from "../../errors.ts";
import type { MachineDefinition } from "../../protocol/record.ts";
import { StatelyRun } from "../../protocol/stately.ts";
import type { Operations, RunChangeMessage } from "../../protocol/view.ts";

type ReadOperation = "run.record" | "run.list" | "machine.get";

/** Where runs come from: the operations that everybody has, and the changes that are published. */
export interface RunSource {
  call<K extends ReadOperation>(operation: K, request: Operations[K]["request"]): Promise<Operations[K]["reply"]>;
  onRunChange(listener: (change: RunChangeMessage) => void): () => void;
}

export interface RunOutputOptions {
  /** Runs that are followed at once; further ones when others have ended. */
  readonly maxRuns: number;
  /** Changes of a run are looked at together, after this time. */
  readonly everyMs: number;
}

/** What may wait for a slow receiver before it is told more. */
const MAX_BUFFERED_BYTES = 4_000_000;
const BUFFER_CHECK_MS = 50;
const NO_SUCH_RUN = 4404;
const FAILED = 1011;

export function acceptReceiver(socket: WebSocket, request: IncomingMessage, source: RunSource, options: RunOutputOptions): void {
  const run = new URL(request.url ?? "/", "http://localhost").searchParams.get("run") ?? undefined;
  const output = new RunOutput(socket, source, options, run);
  socket.on("close", () => output.stop());
  socket.resume();
  void output.start();
}

class RunOutput {
  readonly #socket: WebSocket;
  readonly #source: RunSource;
  readonly #options: RunOutputOptions;
  readonly #only: string | undefined;
  readonly #runs = new Map<string, StatelyRun>();
  readonly #ended = new Set<string>();
  readonly #machines = new Map<string, MachineDefinition>();
  readonly #changed = new Set<string>();
  #unsubscribe: () => void = () => undefined;
  #timer: NodeJS.Timeout | undefined;
  #sending = false;
  #stopped = false;

  constructor(socket: WebSocket, source: RunSource, options: RunOutputOptions, only: string | undefined) {
    this.#socket = socket;
    this.#source = source;
    this.#options = options;
    this.#only = only;
  }

  async start(): Promise<void> {
    // Before anything is asked for, so that nothing falls between.
    this.#unsubscribe = this.#source.onRunChange((change) => this.#take(change));
    try {
      if (this.#only !== undefined) this.#changed.add(this.#only);
      else {
        const { maxRuns } = this.#options;
        const { items } = await this.#source.call("run.list", { status: ["QUEUED", "RUNNING"], size: maxRuns });
        // Oldest first, as they would have come.
        for (const { id } of items.toReversed()) this.#changed.add(id);
      }
      await this.#send();
    } catch (error) {
      this.#fail(error);
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#unsubscribe();
    clearTimeout(this.#timer);
  }

  #take({ id, status }: RunChangeMessage): void {
    if (this.#only !== undefined ? id !== this.#only : !this.#runs.has(id) && this.#full) return;
    const ended = status !== "QUEUED" && status !== "RUNNING";
    // One that is over before it was shown is none of those that are live.
    if (ended && this.#only === undefined && !this.#runs.has(id) && !this.#changed.has(id)) return;
    if (ended) this.#ended.add(id);
    this.#changed.add(id);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.#send();
    }, this.#options.everyMs);
  }

  get #full(): boolean {
    return this.#runs.size >= this.#options.maxRuns;
  }

  async #send(): Promise<void> {
    if (this.#sending) return;
    this.#sending = true;
    try {
      for (const id of this.#changed) {
        await this.#drained();
        if (this.#stopped) return;
        this.#changed.delete(id);
        await this.#sendRun(id);
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#sending = false;
    }
  }

  async #sendRun(id: string): Promise<void> {
    const ended = this.#ended.delete(id);
    let run = this.#runs.get(id);
    if (run === undefined) {
      if (this.#full) return;
      run = new StatelyRun(id);
      this.#runs.set(id, run);
    }
    try {
      const record = await this.#source.call("run.record", run.told === undefined ? { id } : { id, after: run.told });
      for (const message of run.messages(record, await this.#machine(record.machine))) {
        if (this.#stopped) return;
        this.#socket.send(JSON.stringify(message));
      }
    } catch (error) {
      this.#runs.delete(id);
      // Among many, one that is gone again is no loss; the one that was asked for is.
      if (this.#only !== undefined) throw error;
    }
    if (ended && this.#only === undefined) this.#runs.delete(id);
  }

  async #machine(hash: string): Promise<MachineDefinition> {
    const known = this.#machines.get(hash) ?? (await this.#source.call("machine.get", { hash }));
    this.#machines.set(hash, known);
    return known;
  }

  async #drained(): Promise<void> {
    while (!this.#stopped && this.#socket.bufferedAmount > MAX_BUFFERED_BYTES)
      await new Promise((resolve) => setTimeout(resolve, BUFFER_CHECK_MS));
  }

  #fail(error: unknown): void {
    if (this.#stopped) return;
    this.stop();
    const message = error instanceof Error ? error.message : String(error);
    // A reason may have 123 bytes; the cut must not split a character.
    const reason = Buffer.from(message).subarray(0, 120).toString("utf8").replaceAll("\ufffd", "");
    this.#socket.close(isRunNotFoundError(error) ? NO_SUCH_RUN : FAILED, reason);
  }
}
