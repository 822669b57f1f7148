/**
 * Computes the keys of runs with the key functions of their workflows, in batches, for engines that ask.
 */
import { toErrorData } from "../errors.ts";
import type { ErrorData, KeyAnswer, KeyRequestItem, WorkMessage } from "../protocol/work.ts";
import { checkKey } from "../workflow/expression.ts";
import type { HandlerRegistry, ServedWorkflow } from "./handler-registry.ts";
import type { InputLoader, LoadedInput } from "./input-loader.ts";

type KeyRequest = Extract<WorkMessage, { readonly type: "keys" }>;
type KeyResult = KeyAnswer["results"][number];

const NO_METADATA = Object.freeze({});

export class KeyEvaluator {
  readonly #registry: HandlerRegistry;
  readonly #inputs: InputLoader;

  constructor(registry: HandlerRegistry, inputs: InputLoader) {
    this.#registry = registry;
    this.#inputs = inputs;
  }

  /**
   * The answer as JSON, of at most `maxBytes`: where they don't all fit, the results of the first items; the engine asks again for the
   * rest. Undefined where this worker has no such workflow, or no result can be given now: then no answer is the answer.
   */
  async evaluate(request: KeyRequest, maxBytes: number): Promise<string | undefined> {
    const workflow = this.#registry.workflow(request.workflow);
    if (workflow === undefined) return undefined;
    const inputs = request.items.map((item) => this.#inputs.load(workflow, item));
    const parts: string[] = [];
    let bytes = 16;
    for (let i = 0; i < request.items.length; i++) {
      const loading = inputs[i] as LoadedInput | Promise<LoadedInput>;
      const input = loading instanceof Promise ? await loading : loading;
      if (!input.ok && "unavailable" in input) break;
      const part = JSON.stringify(evaluateItem(workflow, request.items[i] as KeyRequestItem, input));
      bytes += Buffer.byteLength(part) + 1;
      if (bytes > maxBytes) break;
      parts.push(part);
    }
    return parts.length === 0 && request.items.length > 0 ? undefined : `{"results":[${parts.join(",")}]}`;
  }
}

function evaluateItem(
  workflow: ServedWorkflow,
  item: KeyRequestItem,
  input: Exclude<LoadedInput, { readonly unavailable: string }>,
): KeyResult {
  const { run } = item;
  if (!input.ok) return { run, error: input.error };
  const keys: Record<number, unknown> = {};
  for (const [index, compute] of workflow.internals.keys) {
    let value: unknown;
    try {
      value = compute({ input: input.value, event: item.event, metadata: item.metadata ?? NO_METADATA, workflow: workflow.name });
    } catch (thrown) {
      return { run, error: keyError(workflow, index, toErrorData(thrown)) };
    }
    // Nobody will await it, and a rejection that nobody awaits would count as uncaught.
    if (value instanceof Promise) value.catch(() => undefined);
    const checked = checkKey(value);
    if (!checked.ok)
      return {
        run,
        error: {
          name: "KeyError",
          code: "KEY_FAILED",
          message: `${nameOf(workflow, index)}: ${checked.message}`,
          retryable: false,
        },
      };
    keys[index] = checked.key;
  }
  return { run, keys };
}

function keyError(workflow: ServedWorkflow, index: number, thrown: ErrorData): ErrorData {
  return { ...thrown, code: "KEY_FAILED", message: `${nameOf(workflow, index)} threw: ${thrown.message}`, retryable: false };
}

function nameOf(workflow: ServedWorkflow, index: number): string {
  return `the key function of limit "${workflow.spec.limits[index]?.name ?? String(index)}"`;
}
