/**
 * What programs send to `/inspect`, in Stately's wire format: checked here, so that nothing behind it meets a surprise. A
 * message is either understood or has a reason why not; it never throws.
 */
import { z } from "zod";
import type { InspectStatus } from "../../protocol/inspect.ts";

const id = z.string().min(1).max(512);
const name = z.string().max(512);
/** Another actor's id; clients say null, nothing or an empty text where there is none. */
const reference = name.nullish().transform((text) => (text === null || text === "" ? undefined : text));
/** Milliseconds since the epoch: a text in the protocol, a number in some hand-written clients. */
const time = z.union([z.string().max(64), z.number()]).nullish();
const event = z.looseObject({ type: z.string().max(1_024) });
const common = { sessionId: id, rootId: name.nullish(), createdAt: time };

const schema = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("@xstate.actor"),
    ...common,
    name: name.nullish(),
    parentId: reference,
    definition: z.unknown().optional(),
    snapshot: z.unknown().optional(),
  }),
  z.object({ type: z.literal("@xstate.event"), ...common, event, sourceId: reference }),
  z.object({
    type: z.literal("@xstate.snapshot"),
    ...common,
    event: event.nullish().transform((one) => one ?? undefined),
    snapshot: z.unknown().optional(),
  }),
]);

export type InspectMessage = z.infer<typeof schema>;
export type ParsedMessage =
  | { readonly ok: true; readonly message: InspectMessage }
  | { readonly ok: false; readonly reason: string };

/** Raw XState events that carry nothing beyond what the others do; sent by clients without Stately's adapter. */
const IGNORED = new Set(["@xstate.microstep", "@xstate.action", "@statelyai.connected", "@statelyai.disconnected"]);

export function parseMessage(text: string): ParsedMessage | "ignored" {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { ok: false, reason: "not JSON" };
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return { ok: false, reason: "not a JSON object" };
  const { type } = value as { type?: unknown };
  if (typeof type !== "string") return { ok: false, reason: "without a type" };
  if (IGNORED.has(type)) return "ignored";
  try {
    const parsed = schema.safeParse(value);
    if (parsed.success) return { ok: true, message: parsed.data };
    const [issue] = parsed.error.issues;
    if (issue?.code === "invalid_union") return { ok: false, reason: `of an unknown type (${clean(type)})` };
    return { ok: false, reason: `${type}: '${issue?.path.join(".") ?? ""}' ${clean(issue?.message ?? "not usable")}` };
  } catch (error) {
    return { ok: false, reason: `${clean(type)}: ${clean(error instanceof Error ? error.message : String(error))}` };
  }
}

/** What a snapshot says, without what it should not: anything may be in a message. */
export function readSnapshot(raw: unknown): {
  readonly status: InspectStatus;
  readonly fields: Record<string, unknown>;
  /** Ids of the children that the actor has after it; undefined where it does not say. */
  readonly children: ReadonlySet<string> | undefined;
} {
  const source = isRecord(raw) ? raw : {};
  const fields: Record<string, unknown> = {};
  for (const field of ["value", "context", "output", "error", "tags", "input"] as const) {
    if (source[field] !== undefined) fields[field] = source[field];
  }
  if (!isStateValue(fields["value"])) delete fields["value"];
  if (!Array.isArray(fields["tags"]) || fields["tags"].length === 0) delete fields["tags"];
  const { status, children } = source;
  return {
    status: status === "done" || status === "error" || status === "stopped" ? status : "active",
    fields,
    children: isRecord(children) ? new Set(Object.keys(children)) : undefined,
  };
}

/** When it happened, by the sender's clock where that is a time at all. */
export function readTime(createdAt: string | number | null | undefined, now: number): string {
  const ms = typeof createdAt === "string" && createdAt.trim() !== "" ? Number(createdAt) : (createdAt ?? now);
  const date = new Date(typeof ms === "number" && Number.isFinite(ms) ? ms : now);
  return Number.isNaN(date.getTime()) ? new Date(now).toISOString() : date.toISOString();
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isStateValue(value: unknown, depth = 0): boolean {
  if (typeof value === "string") return true;
  return depth < 64 && isRecord(value) && Object.values(value).every((part) => isStateValue(part, depth + 1));
}

function clean(text: string): string {
  return text.replace(/\s+/g, " ").slice(0, 120);
}
