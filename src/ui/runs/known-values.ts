/** Values that the filter box can complete, asked from the server when the box is used, at most every few seconds. */
import { signal } from "@preact/signals";
import type { GroupView, WorkflowView } from "../../protocol/view.ts";
import { call } from "../api.ts";
import type { KnownValues } from "./completion.ts";
import { type ExampleEvent, exampleEvent } from "./example-event.ts";

export const knownValues = signal<KnownValues>({});
/** Undefined until the workflows are known. */
export const example = signal<ExampleEvent | undefined>(undefined);

const FRESH_MS = 10_000;
const GROUPS = 500;
let askedAt = -FRESH_MS;

export async function refreshKnownValues(): Promise<void> {
  if (performance.now() - askedAt < FRESH_MS) return;
  askedAt = performance.now();
  const [workflows, groups] = await Promise.all([
    call("workflow.list", {})
      .then(({ items }) => items)
      .catch((): WorkflowView[] => []),
    call("group.list", { size: GROUPS })
      .then(({ items }) => items)
      .catch((): GroupView[] => []),
  ]);
  example.value = exampleEvent(workflows);
  const limits = groups.map(({ limit }) => limit);
  knownValues.value = {
    workflow: workflows.map(({ name }) => name).sort(),
    // Patterns of subjects are no names of events.
    event: sorted(workflows.flatMap(({ spec }) => spec.on).filter((name) => !/[*>]/.test(name))),
    key: sorted(groups.map(({ key }) => key)),
    group: [...sorted(limits), ...groups.map(({ limit, key }) => `${limit}/${key}`)],
  };
}

function sorted(values: readonly string[]): string[] {
  return [...new Set(values)].sort();
}
