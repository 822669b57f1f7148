/**
 * A run as it travels to a partition on another node: one item of a `TransferCommand`, written by hand, since there may be one for
 * every event. The other end is `fromTransfer` (routing.ts).
 */
import { keysOf } from "./core/keys.ts";
import type { Position } from "./facts.ts";
import type { Creation } from "./run.ts";

/** Inputs of up to this many characters travel with their run; larger ones are read again where they are needed. */
const CARRIED_INPUT_CHARS = 16_384;

/**
 * The creation as it is kept until it has arrived. A large input that can be read again is left behind; so the keys that come of it are
 * computed first.
 */
export function withoutLargeInput(creation: Creation): Creation {
  const { input, ref, failure, ...rest } = creation;
  if (input === undefined || input.length <= CARRIED_INPUT_CHARS || ref === undefined) return creation;
  const keys = failure === undefined ? keysOf(creation) : { ok: false as const, error: failure };
  return keys.ok ? { ...rest, ref, keys: keys.keys } : { ...rest, ref, failure: keys.error };
}

/** The item as JSON. Ids and names need no escaping: their characters are those of subject tokens. */
export function transferredText(position: Position, creation: Creation): string {
  const { run, workflow, createdAt, input, ref, keys, priority, metadata, event, notBefore, replayOf, traceparent, failure } =
    creation;
  let json = `{"position":[${position[0]},${position[1]}],"run":{"run":"${run}","createdAt":${createdAt},"workflow":"${workflow.name}","version":${JSON.stringify(workflow.spec.version)}`;
  if (input !== undefined) json += `,"input":${JSON.stringify(input)}`;
  if (ref !== undefined) json += `,"inputRef":${JSON.stringify(ref)}`;
  if (keys !== undefined) json += `,"keys":${JSON.stringify(keys)}`;
  if (priority !== undefined && priority !== 0) json += `,"priority":${priority}`;
  if (metadata !== undefined) json += `,"metadata":${JSON.stringify(metadata)}`;
  if (event !== undefined) json += `,"event":{"name":${JSON.stringify(event.name)},"seq":${event.seq}}`;
  if (notBefore !== undefined) json += `,"notBefore":${notBefore}`;
  if (replayOf !== undefined) json += `,"replayOf":"${replayOf}"`;
  if (traceparent !== undefined) json += `,"traceparent":${JSON.stringify(traceparent)}`;
  if (failure !== undefined) json += `,"failure":${JSON.stringify(failure)}`;
  return `${json}}}`;
}
