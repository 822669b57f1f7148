/** The machine of a workflow with the number of runs in each of its states; a state leads to its runs. */
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { MachineDefinition, Population } from "../../protocol/record.ts";
import type { RunStatus } from "../../protocol/view.ts";
import { call, describeError, isAbort } from "../api.ts";
import { Chart } from "../chart/chart.tsx";
import { navigate } from "../router.tsx";
import { runsAt } from "./filter-address.ts";

export interface PopulationChartProps {
  readonly workflow: string;
  readonly version: string;
  readonly population: Population | undefined;
}

/** States of the machine's root that are a status, by their last name. */
const STATUS_OF: Readonly<Record<string, RunStatus>> = {
  waiting: "QUEUED",
  succeeded: "SUCCEEDED",
  failed: "FAILED",
  cancelled: "CANCELLED",
};

export function PopulationChart({ workflow, version, population }: PopulationChartProps): JSX.Element {
  const [definition, setDefinition] = useState<MachineDefinition | undefined>(undefined);
  const [error, setError] = useState<string | undefined>(undefined);
  useEffect(() => {
    const request = new AbortController();
    call("machine.get", { workflow, version }, request.signal).then(setDefinition, (reason: unknown) => {
      if (!isAbort(reason)) setError(describeError(reason));
    });
    return () => request.abort();
  }, [workflow, version]);
  if (definition === undefined) return <div class="flows-chart">{error !== undefined && <p class="flows-error">{error}</p>}</div>;
  const root = rootOf(definition);
  return (
    <div class="flows-chart">
      <Chart
        definition={definition}
        active={[]}
        counts={countsOf(root, population)}
        onState={(id) => {
          const status = statusAt(root, id);
          const chosen = at(population, id);
          navigate(
            runsAt(status !== undefined ? { workflow, status } : id === root ? { workflow } : { workflow, state: chosen }),
          );
        }}
      />
    </div>
  );
}

/**
 * The region of a step is active as long as its run is, also before its turn and after its end. What people ask of a step is
 * how many are at it: those in an attempt, or else those that wait to retry.
 */
function at(population: Population | undefined, id: string): string {
  const states = population?.states ?? {};
  return ["attempt", "backoff"].map((name) => `${id}.${name}`).find((inner) => (states[inner] ?? 0) > 0) ?? id;
}

function isStep(population: Population, id: string): boolean {
  return ["blocked", "attempt", "backoff", "succeeded", "failed", "cancelled"].some(
    (name) => population.states[`${id}.${name}`] !== undefined,
  );
}

function rootOf({ definition, name }: MachineDefinition): string {
  return typeof definition["id"] === "string" ? definition["id"] : name;
}

function statusAt(root: string, id: string): RunStatus | undefined {
  const name = id.startsWith(`${root}.`) ? id.slice(root.length + 1) : "";
  return Object.hasOwn(STATUS_OF, name) ? STATUS_OF[name] : undefined;
}

/** Live runs are counted by state; those that have ended, and those without a machine yet, by their status. */
function countsOf(root: string, population: Population | undefined): Readonly<Record<string, number>> {
  if (population === undefined) return {};
  const counts: Record<string, number> = { ...population.states };
  delete counts[root];
  for (const id of Object.keys(counts)) {
    if (!isStep(population, id) || id === root) continue;
    const inner = at(population, id);
    counts[id] = inner === id ? 0 : (population.states[inner] ?? 0);
  }
  for (const [name, status] of Object.entries(STATUS_OF)) {
    const count = population.statuses[status];
    if (count > 0) counts[`${root}.${name}`] = count;
  }
  return counts;
}

const EVERY_MS = 500;

/** The counts of a version, again whenever `change` is another value. */
export function usePopulation(workflow: string, version: string | undefined, change: unknown): Population | undefined {
  const [population, setPopulation] = useState<Population | undefined>(undefined);
  const asked = useRef(0);
  useEffect(() => setPopulation(undefined), [workflow, version]);
  useEffect(() => {
    if (version === undefined) return undefined;
    const request = new AbortController();
    const timer = setTimeout(
      () => {
        asked.current = performance.now();
        call("workflow.population", { name: workflow, version }, request.signal).then(setPopulation, () => {
          // Shown without counts; the next change asks again.
        });
      },
      Math.max(0, asked.current + EVERY_MS - performance.now()),
    );
    return () => {
      clearTimeout(timer);
      request.abort();
    };
  }, [workflow, version, change]);
  return population;
}
