/** The engine nodes, as a section of the page of workers: which partitions each owns, under which epoch, and who coordinates. */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { NodePartitionView, NodeView } from "../../protocol/view.ts";
import { call, describeError, isAbort } from "../api.ts";
import { Duration, Time } from "../kit/time.tsx";
import { Link } from "../router.tsx";

const EVERY_MS = 2_000;

const STATES: Readonly<Record<NodeView["state"], string>> = {
  joining: "Becomes a member of the cluster",
  member: "Owns what the cluster gives it",
  outcast: "Was taken for dead: it has dropped all, and joins anew",
  withdrawing: "Was stopped before it became a member",
  leaving: "Gives back its partitions, one after another, and ends",
  left: "Has ended",
  silent: "No sign of life for a while: others may take over soon",
};

export function EngineNodes(): JSX.Element | null {
  const [nodes, setNodes] = useState<readonly NodeView[] | undefined>(undefined);
  const [error, setError] = useState<string | undefined>(undefined);
  useEffect(() => {
    const request = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const load = async (): Promise<void> => {
      try {
        setNodes((await call("node.list", {}, request.signal)).items);
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
  }, []);
  if (nodes === undefined && error === undefined) return null;
  const owned = (nodes ?? []).reduce((sum, node) => sum + node.partitions.length, 0);
  return (
    <section class="nodes" aria-labelledby="nodes-title">
      <div class="workers-head">
        <h2 id="nodes-title">Engine nodes</h2>
        {nodes !== undefined && (
          <span class="kit-muted">
            {nodes.length} · {owned} {owned === 1 ? "partition" : "partitions"} owned
          </span>
        )}
        <span class="nodes-machines">
          <Link href="/workers/machines/node">Life of a node</Link> <Link href="/workers/machines/ownership">Ownership</Link>
        </span>
      </div>
      {error !== undefined && <p class="nodes-error">{error}</p>}
      <ul class="workers-list">
        {nodes?.map((node) => (
          <NodeRow key={node.id} node={node} />
        ))}
      </ul>
    </section>
  );
}

function NodeRow({ node }: { readonly node: NodeView }): JSX.Element {
  const { id, name, host, pid, sluiceVersion, state, coordinator, coordinatorEpoch, partitions, lastSeenAt, joinedAt } = node;
  return (
    <li class="workers-row nodes-row" data-node={id} data-state={state}>
      <div class="nodes-line">
        <div class="workers-name">
          <span class="nodes-state" data-state={state} title={STATES[state]}>
            {state}
          </span>
          <b>{name}</b>
          {coordinator && (
            <span
              class="nodes-coordinator"
              title={`Reads the events, and gives out the slots of the workers${coordinatorEpoch === undefined ? "" : ` (epoch ${coordinatorEpoch})`}`}
            >
              coordinator
            </span>
          )}
          <span class="kit-muted workers-where" title={id}>
            {host} · pid {pid} · {sluiceVersion}
          </span>
        </div>
        <ul class="nodes-partitions" aria-label={`Partitions of ${name}`}>
          {partitions.map((one) => (
            <Partition key={one.partition} {...one} />
          ))}
          {partitions.length === 0 && <li class="kit-muted">no partitions</li>}
        </ul>
        <div class="workers-seen">
          <span class="kit-muted">heard </span>
          <Time at={lastSeenAt} />
        </div>
        <div>
          <span class="kit-muted">up </span>
          <Duration from={joinedAt} />
        </div>
      </div>
    </li>
  );
}

function Partition({ partition, state, epoch, refused }: NodePartitionView): JSX.Element {
  const standing = refused === true ? "NATS does not take its journal: it stands still" : state;
  return (
    <li
      class="nodes-partition"
      data-mode={refused === true ? "refused" : state}
      title={`Partition ${partition}, epoch ${epoch}: ${standing}`}
    >
      {partition}
      {refused === true && <small>stands still</small>}
    </li>
  );
}
