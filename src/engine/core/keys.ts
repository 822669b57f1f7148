/** The concurrency keys of a run, as far as an engine can compute them: from expressions. Pure; those that are functions are a worker's. */
import { toErrorData } from "../../errors.ts";
import type { ErrorData } from "../../protocol/work.ts";
import { checkKey } from "../../workflow/expression.ts";
import type { Creation, Run } from "../run.ts";
import type { CompiledWorkflow } from "../workflows.ts";

/** By index of the limit. */
export type Keys = { readonly ok: true; readonly keys: readonly string[] } | { readonly ok: false; readonly error: ErrorData };

/** The keys of a run by index of the limit, as they were given or as they can be computed; "" where a worker has to. */
export function keysOf({ workflow, input, metadata, event, keys }: Creation): Keys {
  return keys?.length === workflow.spec.limits.length ? { ok: true, keys } : computeKeys(workflow, input, metadata, event);
}

/** The keys of a run by index of the limit; "" where a worker has to compute it. `payload`: the input, where it was parsed already. */
export function computeKeys(
  workflow: CompiledWorkflow,
  input: string | undefined,
  metadata: Readonly<Record<string, unknown>> | undefined,
  event: { readonly name: string; readonly seq: number } | undefined,
  payload?: unknown,
): Keys {
  const keys: string[] = [];
  const variables = {
    input: payload ?? (input === undefined ? {} : (JSON.parse(input) as unknown)),
    metadata: metadata ?? {},
    event: event ?? {},
  };
  for (const [index, expression] of workflow.keys.entries()) {
    const limit = workflow.spec.limits[index]?.name ?? "";
    if (expression === undefined) {
      keys.push("");
      continue;
    }
    try {
      const key = checkKey(expression(variables));
      if (!key.ok) return { ok: false, error: keyError(limit, key.message) };
      keys.push(key.key);
    } catch (thrown) {
      return { ok: false, error: keyError(limit, toErrorData(thrown).message) };
    }
  }
  return { ok: true, keys };
}

/** The keys that the run came with, completed by those that a worker has computed. */
export function completeKeys(run: Run, answer: Readonly<Record<number, unknown>>): Keys {
  const given = run.rest?.keys;
  const keys: string[] = [];
  for (const [index, limit] of run.workflow.spec.limits.entries()) {
    const key = checkKey(limit.key.kind === "function" ? answer[index] : given?.[index]);
    if (!key.ok) return { ok: false, error: keyError(limit.name, key.message) };
    keys.push(key.key);
  }
  return { ok: true, keys };
}

function keyError(limit: string, message: string): ErrorData {
  return { name: "KeyError", code: "KEY_FAILED", message: `key of limit "${limit}": ${message}`, retryable: false };
}
