/**
 * What runs come of an event, a call or an inbox message, with which keys, and to which partition they go. Pure: it knows no
 * streams and no connection, so that the router, the API and the test kit decide alike.
 */
import type { CreateCommand, TransferredRun } from "../protocol/commands.ts";
import { computeKeys } from "./core/keys.ts";
import type { Position } from "./facts.ts";
import type { Placement } from "./placement.ts";
import { type Creation, INLINE_INPUT_CHARS } from "./run.ts";
import type { CompiledWorkflow, Workflows } from "./workflows.ts";

/** It travels with every step of the run. */
export const MAX_METADATA_CHARS = 32_768;
const MAX_PRIORITY = 1_000_000;

export interface RoutedEvent extends EventHeaders {
  readonly name: string;
  /** In the events stream. */
  readonly seq: number;
  /** When it was stored, in ms since the epoch. */
  readonly timeMs: number;
  /** Its payload, which is JSON … */
  readonly text: string;
  /** … and what it says, where it was parsed already. */
  readonly payload?: unknown;
}

export interface Route {
  readonly partition: number;
  readonly position: Position;
  readonly creation: Creation;
}

export interface Routing {
  readonly workflows: Workflows;
  readonly placement: Placement;
  readonly newRunId: (atMs: number) => string;
  /** The stream that large payloads are read from again. */
  readonly eventsStream: string;
}

/** The runs that an event starts, in the order of their places. */
export function routeEvent({ workflows, placement, newRunId, eventsStream }: Routing, event: RoutedEvent): Route[] {
  const { name, seq, timeMs, text, payload, metadata, priority, traceparent } = event;
  return workflows.startedBy(name, seq).map((workflow, place) => {
    const creation: { -readonly [K in keyof Creation]: Creation[K] } = {
      run: newRunId(timeMs),
      workflow,
      createdAt: Math.floor(timeMs),
      input: text,
      event: { name, seq },
    };
    if (text.length > INLINE_INPUT_CHARS) creation.ref = { stream: eventsStream, seq };
    if (metadata !== undefined) creation.metadata = metadata;
    if (priority !== undefined) creation.priority = priority;
    if (traceparent !== undefined) creation.traceparent = traceparent;
    // By its place, not by its id: a router that repeats itself makes another id, and has to come to the same partition.
    const { partition, keys } = placeOf(placement, workflow, `${seq}.${place}`, creation, payload);
    if (keys !== undefined) creation.keys = keys;
    return { partition, position: [seq, place], creation };
  });
}

/** The command that starts a run of a workflow, and the partition whose inbox it goes to. */
export function routeCall(
  placement: Placement,
  workflow: CompiledWorkflow,
  call: Omit<CreateCommand, "type" | "workflow" | "version" | "keys">,
): { readonly partition: number; readonly command: CreateCommand } {
  const { run, metadata, notBefore, input } = call;
  const { partition, keys } = placeOf(placement, workflow, run, { metadata, input: JSON.stringify(input ?? null) }, input);
  return {
    // Schedules are kept at home, where they are found.
    partition: notBefore === undefined ? partition : placement.homeOf(workflow.name),
    command: {
      ...call,
      type: "create",
      workflow: workflow.name,
      version: workflow.spec.version,
      ...(keys !== undefined && { keys }),
    },
  };
}

/** The run of a command in an inbox. `ref`: where the command is stored. */
export function toCreation(
  command: CreateCommand,
  workflow: CompiledWorkflow,
  ref: { readonly stream: string; readonly seq: number },
  nowMs: number,
): Creation {
  const { run, createdAt, keys, priority, metadata, notBefore, replayOf, traceparent } = command;
  const input = JSON.stringify(command.input ?? null);
  return {
    run,
    workflow,
    createdAt: createdAt ?? nowMs,
    input,
    ...(input.length > INLINE_INPUT_CHARS && { ref: command.inputRef ?? ref }),
    ...(keys !== undefined && { keys }),
    ...(priority !== undefined && { priority }),
    ...(metadata !== undefined && { metadata }),
    ...(notBefore !== undefined && { notBefore }),
    ...(replayOf !== undefined && { replayOf }),
    ...(traceparent !== undefined && { traceparent }),
  };
}

/** The run that another node hands over: the other end of `transferredText`. */
export function fromTransfer(transferred: TransferredRun, workflow: CompiledWorkflow): Creation {
  const { run, createdAt, input, inputRef, keys, priority, metadata, event, notBefore, replayOf, traceparent, failure } =
    transferred;
  return {
    run,
    workflow,
    createdAt,
    ...(input !== undefined && { input }),
    ...(inputRef !== undefined && { ref: inputRef }),
    ...(keys !== undefined && { keys }),
    ...(priority !== undefined && { priority }),
    ...(metadata !== undefined && { metadata }),
    ...(event !== undefined && { event }),
    ...(notBefore !== undefined && { notBefore }),
    ...(replayOf !== undefined && { replayOf }),
    ...(traceparent !== undefined && { traceparent }),
    ...(failure !== undefined && { failure }),
  };
}

type Placed = Pick<Creation, "event"> & {
  readonly input?: string | undefined;
  readonly metadata?: Creation["metadata"] | undefined;
};

function placeOf(
  placement: Placement,
  workflow: CompiledWorkflow,
  /** What a run without limits is placed by. */
  id: string,
  { input, metadata, event }: Placed,
  payload?: unknown,
): { readonly partition: number; readonly keys: readonly string[] | undefined } {
  const { spec } = workflow;
  if (spec.limits.length === 0) return { partition: placement.partitionOf(spec, id, []), keys: undefined };
  // A worker computes them for the partition at home.
  if (workflow.hasFunctionKeys) return { partition: placement.homeOf(spec.name), keys: undefined };
  const computed = computeKeys(workflow, input, metadata, event, payload);
  // A key that cannot be computed fails the run, visibly, at its home.
  if (!computed.ok) return { partition: placement.homeOf(spec.name), keys: undefined };
  return { partition: placement.partitionOf(spec, id, computed.keys), keys: computed.keys };
}

export const EVENT_HEADERS = ["Nats-Msg-Id", "Sluice-Metadata", "Sluice-Priority", "Sluice-Scope", "traceparent"] as const;
export type EventHeaders = Pick<Creation, "metadata" | "priority" | "traceparent">;

/** What the headers of an event say of its runs. Throws a TypeError that names the header. */
export function readHeaders(header: (name: string) => string | undefined): EventHeaders {
  const metadata = header("Sluice-Metadata");
  const priority = header("Sluice-Priority");
  const scope = header("Sluice-Scope");
  const traceparent = header("traceparent");
  if (metadata === undefined && priority === undefined && scope === undefined && traceparent === undefined) return {};
  let parsed: Record<string, unknown> | undefined;
  if (metadata !== undefined) {
    let value: unknown;
    try {
      value = JSON.parse(metadata);
    } catch {
      value = undefined;
    }
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw new TypeError(`expected the header Sluice-Metadata to be a JSON object, got ${shorten(metadata)}`);
    if (metadata.length > MAX_METADATA_CHARS)
      throw new TypeError(
        `expected the header Sluice-Metadata to have at most ${MAX_METADATA_CHARS} characters, got ${metadata.length}`,
      );
    parsed = value as Record<string, unknown>;
  }
  if (scope !== undefined) parsed = { ...parsed, scope };
  let number: number | undefined;
  if (priority !== undefined) {
    number = Number(priority);
    if (priority.trim() === "" || !Number.isInteger(number) || Math.abs(number) > MAX_PRIORITY)
      throw new TypeError(
        `expected the header Sluice-Priority to be an integer from -${MAX_PRIORITY} to ${MAX_PRIORITY}, got ${shorten(priority)}`,
      );
  }
  return {
    ...(parsed !== undefined && { metadata: parsed }),
    ...(number !== undefined && { priority: number }),
    ...(traceparent !== undefined && { traceparent }),
  };
}

function shorten(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);
}
