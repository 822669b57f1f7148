/** A machine of the engine nodes as a chart, with how many are in each state: the life of a node, or the ownership of a partition. */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { MachineDefinition } from "../../protocol/record.ts";
import { call, describeError, isAbort } from "../api.ts";
import { Chart } from "../chart/chart.tsx";
import { EmptyState } from "../kit/empty-state.tsx";
import { route } from "../router.tsx";

const EVERY_MS = 1_000;
const TEXTS = {
  node: ["Life of an engine node", "One for each engine node of the cluster."],
  ownership: ["Ownership of a partition", "One for each partition, and one for the coordinator, on each engine node."],
} as const;

export function ClusterMachinePage(): JSX.Element {
  const [, , machine = ""] = route.value.path;
  return machine === "node" || machine === "ownership" ? (
    <ClusterMachine machine={machine} />
  ) : (
    <EmptyState title="There is no such machine" text="There are those of a node and of an ownership." />
  );
}

function ClusterMachine({ machine }: { readonly machine: "node" | "ownership" }): JSX.Element {
  const [definition, setDefinition] = useState<MachineDefinition | undefined>(undefined);
  const [counts, setCounts] = useState<Readonly<Record<string, number>>>({});
  const [error, setError] = useState<string | undefined>(undefined);
  useEffect(() => {
    const request = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const load = async (): Promise<void> => {
      try {
        const { counts: now = {}, ...read } = await call("machine.get", { machine }, request.signal);
        setDefinition((before) => (before?.hash === read.hash ? before : read));
        setCounts(now);
        setError(undefined);
      } catch (reason) {
        if (!isAbort(reason)) setError(describeError(reason));
      }
      if (!request.signal.aborted) timer = setTimeout(() => void load(), EVERY_MS);
    };
    void load();
    return () => {
      clearTimeout(timer);
      request.abort();
    };
  }, [machine]);
  const [title, text] = TEXTS[machine];
  return (
    <div class="nodes-machine">
      <div class="workers-head">
        <h1>{title}</h1>
        <span class="kit-muted">{text}</span>
      </div>
      {error !== undefined && <p class="nodes-error">{error}</p>}
      <div class="nodes-chart">{definition !== undefined && <Chart definition={definition} active={[]} counts={counts} />}</div>
    </div>
  );
}
