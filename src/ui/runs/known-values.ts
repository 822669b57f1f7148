/** Values that the filter box can complete, asked from the server when the box is used, at most every few seconds. */
import { signal } from "@preact/signals";
import type { GroupView, RunView, WorkflowView } from "../../protocol/view.ts";
import { call } from "../api.ts";
import type { KnownValues } from "./completion.ts";
import { type ExampleEvent, exampleEvent } from "./example-event.ts";

export const knownValues = signal<KnownValues>({});
/** Undefined until the workflows are known. */
export const example = signal<ExampleEvent | undefined>(undefined);

const FRESH_MS = 10_000;
const GROUPS = 500;
/** The newest, for keys and tags of runs that have ended. */
const RUNS = 200;
/** Longer ones are texts, and nobody filters by them. */
const MAX_TAG = 60;
let askedAt = -FRESH_MS;

export async function refreshKnownValues(): Promise<void> {
  if (performance.now() - askedAt < FRESH_MS) return;
  askedAt = performance.now();
  const [workflows, groups, runs] = await Promise.all([
    call("workflow.list", {})
      .then(({ items }) => items)
      .catch((): WorkflowView[] => []),
    call("group.list", { size: GROUPS })
      .then(({ items }) => items)
      .catch((): GroupView[] => []),
    call("run.list", { size: RUNS })
      .then(({ items }) => items)
      .catch((): RunView[] => []),
  ]);
  example.value = exampleEvent(workflows);
  const limits = groups.map(({ limit }) => limit);
  knownValues.value = {
    ...knownValues.value,
    workflow: workflows.map(({ name }) => name).sort(),
    // Patterns of subjects are no names of events.
    event: sorted(workflows.flatMap(({ spec }) => spec.on).filter((name) => !/[*>]/.test(name))),
    key: sorted([...groups, ...runs.flatMap(({ keys }) => keys)].map(({ key }) => key)),
    group: [...sorted(limits), ...groups.map(({ limit, key }) => `${limit}/${key}`)],
    tag: sorted(runs.flatMap(({ metadata }) => tagsOf(metadata))),
  };
}

let statesOf: string | undefined;

/** The states that runs of a workflow can be found in. Asked once for each that is named. */
export async function refreshKnownStates(workflow: string): Promise<void> {
  if (statesOf === workflow) return;
  statesOf = workflow;
  const states = await call("workflow.population", { name: workflow })
    .then((population) => Object.keys(population.states))
    // There may be no such workflow: its name is still being typed.
    .catch((): string[] => []);
  if (statesOf === workflow) knownValues.value = { ...knownValues.value, state: states.sort() };
}

/** As `tag:` takes them. */
function tagsOf(metadata: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(metadata)
    .map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`)
    .filter((tag) => tag.length <= MAX_TAG);
}

function sorted(values: readonly string[]): string[] {
  return [...new Set(values)].sort();
}
