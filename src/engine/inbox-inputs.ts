/**
 * Makes inputs for partitions of what stands in their inboxes: checked, with the workflow versions that it names, and with large inputs
 * where every node finds them for as long as a run lives. What cannot be used is put aside, with the reason, and passed over.
 */
import type { Logger } from "pino";
import type { Connection } from "../nats/connection.ts";
import type { ReadMessage } from "../nats/stream-reader.ts";
import type { Names } from "../nats/subjects.ts";
import type { Command, CreateCommand, TransferCommand } from "../protocol/commands.ts";
import type { PayloadRef } from "../protocol/work.ts";
import { checkCommand } from "./check-command.ts";
import type { AppliedInboxes } from "./cluster/applied-inboxes.ts";
import type { Definitions } from "./definitions.ts";
import type { Input } from "./partition.ts";
import { fromTransfer, toCreation } from "./routing.ts";
import { INLINE_INPUT_CHARS } from "./run.ts";
import type { CompiledWorkflow } from "./workflows.ts";

export interface InboxInputsOptions {
  readonly connection: Pick<Connection, "publishAcked">;
  readonly names: Pick<Names, "eventsStream" | "inputs" | "partitionStream">;
  readonly definitions: Pick<Definitions, "ensure">;
  readonly applied: Pick<AppliedInboxes, "applied">;
  readonly reject: (what: string, message: { readonly data: Uint8Array }, reason: string) => void;
  readonly now?: () => number;
  readonly logger: Logger;
}

/** Whether the partition is being given back, or was dropped: whoever owns it next reads the message again. */
export type IsOver = () => boolean;

const NOTHING: Input = { type: "read", read: () => undefined };
const RETRY_MS = 200;

export class InboxInputs {
  readonly #options: InboxInputsOptions;

  constructor(options: InboxInputsOptions) {
    this.#options = options;
  }

  /**
   * A promise only where something has to be asked for first; it never rejects. Once the partition is over it has no meaning, and
   * nothing after it may be read.
   */
  toInput(partition: number, message: ReadMessage, isOver: IsOver): Input | Promise<Input> {
    try {
      const command: unknown = JSON.parse(Buffer.from(message.data).toString());
      checkCommand(command);
      const made = this.#make(partition, message, command, isOver);
      return made instanceof Promise ? made.catch((error: unknown) => this.#unusable(partition, message, error, isOver)) : made;
    } catch (error) {
      return this.#unusable(partition, message, error, isOver);
    }
  }

  #make(partition: number, message: ReadMessage, command: Command, isOver: IsOver): Input | Promise<Input> {
    switch (command.type) {
      case "create":
        return this.#create(partition, message, command, isOver);
      case "transfer":
        return this.#transfer(partition, message, command, isOver);
      default:
        return this.#command(partition, message, command, undefined);
    }
  }

  #create(partition: number, message: ReadMessage, command: CreateCommand, isOver: IsOver): Input | Promise<Input> {
    const workflow = this.#options.definitions.ensure(command.workflow, command.version);
    // Nobody but this partition knows how long its inbox is needed, and the run may go elsewhere.
    const text = command.inputRef === undefined ? JSON.stringify(command.input ?? null) : "";
    if (workflow instanceof Promise || text.length > INLINE_INPUT_CHARS)
      return (async () => {
        const found = await workflow;
        if (isOver()) return NOTHING;
        if (found === undefined) throw unknownWorkflow(command);
        if (text.length <= INLINE_INPUT_CHARS) return this.#command(partition, message, command, found);
        const inputRef = await this.#keep(text, isOver);
        return inputRef === undefined ? NOTHING : this.#command(partition, message, { ...command, inputRef }, found);
      })();
    return this.#command(partition, message, command, workflow);
  }

  #command(
    partition: number,
    { seq, data }: ReadMessage,
    command: Exclude<Command, TransferCommand> | undefined,
    workflow: CompiledWorkflow | undefined,
  ): Input {
    const { names, now = Date.now } = this.#options;
    const ref = { stream: names.partitionStream(partition), seq };
    // Made here and not while it is applied: what throws must not come to light in the midst of a decision.
    const creation = command?.type === "create" && workflow !== undefined ? toCreation(command, workflow, ref, now()) : undefined;
    return {
      type: "command",
      seq,
      command,
      bytes: data.length,
      toCreation: () => creation,
      applied: () => this.#options.applied.applied(partition, seq),
    };
  }

  #transfer(partition: number, message: ReadMessage, command: TransferCommand, isOver: IsOver): Input | Promise<Input> {
    const { definitions } = this.#options;
    const found = new Map<string, CompiledWorkflow | undefined>();
    const asked: Promise<void>[] = [];
    for (const { run } of command.items) {
      const id = `${run.workflow} ${run.version}`;
      if (found.has(id)) continue;
      const workflow = definitions.ensure(run.workflow, run.version);
      found.set(id, workflow instanceof Promise ? undefined : workflow);
      if (workflow instanceof Promise) asked.push(workflow.then((known) => void found.set(id, known)));
    }
    const make = (): Input => this.#transferred(partition, message, command, found);
    return asked.length === 0 ? make() : Promise.all(asked).then(() => (isOver() ? NOTHING : make()));
  }

  #transferred(
    partition: number,
    message: ReadMessage,
    { source, items }: TransferCommand,
    workflows: ReadonlyMap<string, CompiledWorkflow | undefined>,
  ): Input {
    const { seq, data } = message;
    return {
      type: "transfer",
      seq,
      source,
      items: items.map(({ position, run }) => {
        const workflow = workflows.get(`${run.workflow} ${run.version}`);
        if (workflow !== undefined) return { position, creation: fromTransfer(run, workflow) };
        this.#reject(partition, Buffer.from(JSON.stringify(run)), seq, unknownWorkflow(run));
        return { position, creation: undefined };
      }),
      bytes: data.length,
      applied: () => this.#options.applied.applied(partition, seq),
    };
  }

  /** Beside the events, which live as long as any run needs them; undefined once the partition is over. */
  async #keep(text: string, isOver: IsOver): Promise<PayloadRef | undefined> {
    const { connection, names, logger } = this.#options;
    while (!isOver())
      try {
        const { seq } = await connection.publishAcked(names.inputs, text);
        return { stream: names.eventsStream, seq };
      } catch (error) {
        logger.warn({ err: error }, "a large input of the inbox could not be put beside the events; it is tried again");
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    return undefined;
  }

  #unusable(partition: number, message: ReadMessage, error: unknown, isOver: IsOver): Input {
    // It may well be usable, for whoever owns the partition next.
    if (isOver()) return NOTHING;
    this.#reject(partition, message.data, message.seq, error);
    return this.#command(partition, message, undefined, undefined);
  }

  #reject(partition: number, data: Uint8Array, seq: number, error: unknown): void {
    const { reject, logger } = this.#options;
    logger.error({ err: error, partition, seq }, "an inbox message cannot be used; it is kept aside and passed over");
    reject(`inbox.${partition}`, { data }, error instanceof Error ? error.message : String(error));
  }
}

function unknownWorkflow({ workflow, version }: { readonly workflow: string; readonly version: string }): TypeError {
  return new TypeError(`workflow "${workflow}" is not known in version ${version}`);
}
