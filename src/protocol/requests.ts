/**
 * What each operation of the API takes, as schemas: checked where a request arrives (NATS service, HTTP), so that handlers get
 * what `Operations` says.
 */
import { z } from "zod";
import { RequestError } from "../errors.ts";
import { isRunId } from "./run-ids.ts";
import type { Operation, Operations } from "./view.ts";

const id = z.string().min(1).max(256);
const newId = z.string().refine(isRunId, "expected a ULID in capitals").optional();
const name = z.string().min(1).max(256);
const size = z.int().min(1).max(1_000).optional();
const cursor = z.string().max(4_096).optional();
const status = z.enum(["QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"]);
const time = z.string().refine((text) => !Number.isNaN(Date.parse(text)), "expected a time such as 2026-01-31T12:00:00Z");
const group = { limit: name, key: z.string().min(1) };
const nothing = z.strictObject({});
const one = z.strictObject({ id });

const hash = z.string().min(1).max(128);
const ids = z.array(id).min(1).max(1_000);
const query = {
  status: z.union([status, z.array(status)]).optional(),
  workflow: name.optional(),
  limit: name.optional(),
  key: z.string().optional(),
  scheduled: z.boolean().optional(),
  tag: z.union([z.string().min(1).max(1_024), z.array(z.string().min(1).max(1_024)).max(20)]).optional(),
  event: name.optional(),
  text: z.string().min(1).max(1_024).optional(),
  state: z.string().min(1).max(4_096).optional(),
  fields: z.literal("row").optional(),
  since: time.optional(),
  until: time.optional(),
  size,
  cursor,
};

const schemas: { readonly [K in Operation]: z.ZodType } = {
  "run.create": z.strictObject({
    id: newId,
    workflow: name,
    input: z.unknown(),
    priority: z.number().min(-1e9).max(1e9).optional(),
    metadata: z.record(z.string(), z.unknown()).optional(),
    at: z.union([z.number(), time]).optional(),
    delay: z.union([z.number().min(0), z.string()]).optional(),
    traceparent: z.string().max(256).optional(),
  }),
  "run.get": one,
  "run.list": z.strictObject(query),
  "run.cancel": one,
  "run.replay": z.strictObject({ id, newId }),
  "run.explain": one,
  "run.events": one,
  "run.record": z.strictObject({ id, after: z.int().min(-1).optional() }),
  "run.count": z.strictObject(query),
  "run.cancelMany": z.strictObject({ ids }),
  "run.replayMany": z
    .strictObject({ ids, newIds: z.array(newId.unwrap()).optional() })
    .refine(({ ids, newIds = ids }) => newIds.length === ids.length, "expected as many newIds as ids"),
  "group.list": z.strictObject({ limit: name.optional(), text: z.string().min(1).max(1_024).optional(), size, cursor }),
  "group.get": z.strictObject(group),
  "group.update": z.strictObject({ ...group, maxRuns: z.int().min(1).nullable() }),
  "group.pause": z.strictObject(group),
  "group.resume": z.strictObject(group),
  "group.decisions": z.strictObject({ ...group, size, cursor }),
  "group.machine": z.strictObject(group),
  "machine.get": z.strictObject({
    hash: hash.optional(),
    machine: z.enum(["node", "ownership"]).optional(),
    workflow: name.optional(),
    version: name.optional(),
  }),
  "workflow.list": nothing,
  "workflow.get": z.strictObject({ name, version: name.optional() }),
  "workflow.register": z.strictObject({
    spec: z.looseObject({
      name,
      version: z.string().min(1),
      steps: z.array(z.looseObject({ name })).min(1),
      limits: z.array(z.looseObject({ name })),
    }),
  }),
  "workflow.population": z.strictObject({ name, version: name.optional() }),
  "worker.list": nothing,
  "node.list": nothing,
  "worker.drain": one,
  "event.list": z.strictObject({ name: name.optional(), size, cursor }),
  "event.publish": z.strictObject({
    id: id.optional(),
    name,
    payload: z.unknown(),
    metadata: z.record(z.string(), z.unknown()).optional(),
    priority: z.int().min(-1e6).max(1e6).optional(),
  }),
  "rejected.list": z.strictObject({ size, cursor }),
  "health.get": nothing,
};

export const OPERATIONS = Object.freeze(Object.keys(schemas) as Operation[]);

/** The request of an operation. Throws RequestError 400 that says, with the path, what was expected. */
export function parseRequest<K extends Operation>(operation: K, value: unknown): Operations[K]["request"] {
  const parsed = schemas[operation].safeParse(value);
  if (parsed.success) return parsed.data as Operations[K]["request"];
  const [issue] = parsed.error.issues;
  const path = issue === undefined || issue.path.length === 0 ? "the request" : `'${issue.path.join(".")}'`;
  throw new RequestError(`${operation}: ${path}: ${issue?.message ?? "not usable"}`, {
    operation,
    status: 400,
    reason: "BAD_REQUEST",
  });
}

/**
 * A request from fields that are all texts, as in the query of an address: a number or a boolean where the operation takes that
 * and no text; a field that comes more than once is a list. Not checked: that is `parseRequest`'s.
 */
export function requestFromFields(operation: Operation, fields: Iterable<readonly [string, string]>): Record<string, unknown> {
  const schema = schemas[operation];
  const shape: Readonly<Record<string, z.ZodType | undefined>> = schema instanceof z.ZodObject ? schema.shape : {};
  const request = new Map<string, unknown>();
  for (const [field, text] of fields) {
    const type = Object.hasOwn(shape, field) ? shape[field] : undefined;
    const read = readText(text);
    const value = type === undefined || type.safeParse(text).success || !type.safeParse(read).success ? text : read;
    const before = request.get(field);
    request.set(field, before === undefined ? value : [...(Array.isArray(before) ? (before as unknown[]) : [before]), value]);
  }
  return Object.fromEntries(request);
}

function readText(text: string): unknown {
  if (text === "true" || text === "false") return text === "true";
  return text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
}
