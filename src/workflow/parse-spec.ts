/**
 * The check of a workflow specification that comes from outside, as JSON: another node registered it, perhaps of another release,
 * perhaps not by this library at all. What passes can be compiled without surprises. Definitions written here are checked
 * with better words when they are written (`define.ts`).
 */
import { z } from "zod";
import { formatIssues } from "../errors.ts";
import { cronProblem, isTimezone } from "./cron.ts";
import { MAX_DURATION_MS } from "./duration.ts";
import { isEventPattern } from "./event-pattern.ts";
import { compileKeyExpression } from "./expression.ts";
import { isName, MAX_LIMIT_NAME_LENGTH } from "./names.ts";
import { Strategy, type WorkflowSpec } from "./spec.ts";

export type ParsedSpec = { readonly ok: true; readonly spec: WorkflowSpec } | { readonly ok: false; readonly message: string };

const name = z.string().refine((value) => isName(value), "not a name (letters, digits, - and _)");
const ms = z.int().min(0).max(MAX_DURATION_MS);

const key = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("cel"),
    expression: z.string().superRefine((text, context) => {
      try {
        compileKeyExpression(text);
      } catch (error) {
        context.addIssue({
          code: "custom",
          message: `not a CEL expression: ${error instanceof Error ? error.message : String(error)}`,
        });
      }
    }),
  }),
  z.object({ kind: z.literal("function") }),
]);

const step = z.object({
  name,
  after: z.array(z.string()),
  retries: z.int().min(0),
  backoff: z.object({ factor: z.number().min(1), minMs: ms, maxMs: ms }),
  timeoutMs: ms.exactOptional(),
  scheduleTimeoutMs: ms,
});

const cron = z
  .object({
    expression: z.string(),
    timezone: z.string().refine(isTimezone, "not a time zone that this node knows").exactOptional(),
    input: z.unknown().exactOptional(),
  })
  .superRefine(({ expression, timezone }, context) => {
    const wrong = timezone === undefined || isTimezone(timezone) ? cronProblem(expression, timezone) : undefined;
    if (wrong !== undefined)
      context.addIssue({ code: "custom", path: ["expression"], message: `not a cron expression: ${wrong}` });
  });

// Not strict: a newer release may say more, and its version is a hash over all of it.
const schema = z.object({
  name,
  version: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/),
  on: z.array(z.string().refine(isEventPattern, "not a pattern of event names")),
  cron: z.array(cron),
  steps: z
    .array(step)
    .min(1)
    .superRefine((steps, context) => {
      const earlier = new Set<string>();
      steps.forEach(({ name: own, after }, index) => {
        if (earlier.has(own))
          context.addIssue({ code: "custom", path: [index, "name"], message: `there is another step "${own}"` });
        for (const parent of after) {
          // In topological order, so there are no cycles where this holds.
          if (!earlier.has(parent))
            context.addIssue({ code: "custom", path: [index, "after"], message: `there is no earlier step "${parent}"` });
        }
        earlier.add(own);
      });
    }),
  limits: z
    .array(
      z.object({
        name: z.string().refine((value) => isName(value, MAX_LIMIT_NAME_LENGTH), "not a name (letters, digits, - and _)"),
        key,
        maxRuns: z.int().min(1),
        strategy: z.enum(Strategy),
      }),
    )
    .refine((limits) => new Set(limits.map((limit) => limit.name)).size === limits.length, "two limits have the same name"),
  scheduleTimeoutMs: ms.exactOptional(),
  onStepFailure: z.enum(["cancel", "finish"]),
  graceMs: ms,
  inputSchema: z.unknown().exactOptional(),
}) satisfies z.ZodType<WorkflowSpec>;

/** Checks a specification that came as JSON. Never throws; the message names all problems with their places. */
export function parseWorkflowSpec(value: unknown): ParsedSpec {
  const parsed = schema.safeParse(value);
  if (parsed.success) return { ok: true, spec: parsed.data };
  const issues = parsed.error.issues.map(({ message, path }) => ({
    message,
    path: path.map((part) => (typeof part === "symbol" ? String(part) : part)),
  }));
  return { ok: false, message: `not a workflow: ${formatIssues(issues)}` };
}
