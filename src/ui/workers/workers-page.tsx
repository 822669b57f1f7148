/** The page "Workers": which nodes execute steps, how busy they are, when they were last heard of; draining one. And the engine nodes. */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { WorkerView } from "../../protocol/view.ts";
import { call, describeError, isAbort } from "../api.ts";
import { EmptyState } from "../kit/empty-state.tsx";
import { useKeys } from "../kit/keys.tsx";
import { toast } from "../kit/toast.tsx";
import { useLive } from "../live.ts";
import { about, readOnly } from "../shell/about.ts";
import { EngineNodes } from "./engine-nodes.tsx";
import { WorkerRow } from "./worker-row.tsx";
import "./workers.css";

/** Those that work before those that do not, then by name. */
const RANK: Readonly<Record<WorkerView["mode"], number>> = { running: 0, draining: 1, lost: 2, stopped: 3 };

export function WorkersPage(): JSX.Element {
  const [workers, setWorkers] = useState<readonly WorkerView[] | undefined>(undefined);
  const [error, setError] = useState<string | undefined>(undefined);
  const [selected, setSelected] = useState(-1);
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const load = async (signal?: AbortSignal) => {
    try {
      setWorkers((await call("worker.list", {}, signal)).items);
      setError(undefined);
    } catch (reason) {
      if (!isAbort(reason)) setError(describeError(reason));
    }
  };
  useEffect(() => {
    const request = new AbortController();
    void load(request.signal);
    return () => request.abort();
  }, []);
  useLive("workers", (event, data) => {
    if (event === "workers") setWorkers(data.items);
    else if (event === "reset") void load();
  });
  const items = (workers ?? []).toSorted(
    (a, b) => RANK[a.mode] - RANK[b.mode] || a.name.localeCompare(b.name) || a.id.localeCompare(b.id),
  );
  const toggle = (id: string) =>
    setOpen((before) => {
      const next = new Set(before);
      if (!next.delete(id)) next.add(id);
      return next;
    });
  const drain = async (worker: WorkerView) => {
    try {
      const drained = await call("worker.drain", { id: worker.id });
      setWorkers((before) => before?.map((one) => (one.id === drained.id ? drained : one)));
      toast(`${worker.name} takes no further steps`, "ok");
    } catch (reason) {
      toast(`${worker.name} could not be drained: ${describeError(reason)}`, "bad");
    }
  };
  const move = (by: number) => setSelected((at) => Math.min(items.length - 1, Math.max(0, at + by)));
  useEffect(() => document.querySelector(".workers-row[aria-current]")?.scrollIntoView({ block: "nearest" }), [selected]);
  useKeys({
    j: { does: "next worker", run: () => move(1) },
    k: { does: "previous worker", run: () => move(-1) },
    ArrowDown: { does: "next worker", run: () => move(1) },
    ArrowUp: { does: "previous worker", run: () => move(-1) },
    Enter: {
      does: "show what the worker serves",
      run: () => {
        const worker = items[selected];
        if (worker !== undefined) toggle(worker.id);
      },
    },
  });

  if (workers === undefined)
    return error === undefined ? <div aria-busy="true" /> : <EmptyState title="The workers cannot be listed" text={error} />;
  if (items.length === 0)
    return (
      <>
        <NoWorkers />
        <EngineNodes />
      </>
    );
  const working = items.filter(({ mode }) => mode === "running" || mode === "draining");
  const used = working.reduce((sum, worker) => sum + worker.used, 0);
  const slots = working.reduce((sum, worker) => sum + worker.slots, 0);
  return (
    <div class="workers-page">
      <div class="workers-head">
        <h1>Workers</h1>
        <span class="kit-muted">
          {working.length} at work · {used.toLocaleString("en")} of {slots.toLocaleString("en")} slots in use
        </span>
      </div>
      <ul class="workers-list">
        {items.map((worker, i) => (
          <WorkerRow
            key={worker.id}
            worker={worker}
            selected={i === selected}
            open={open.has(worker.id)}
            readOnly={readOnly.value}
            onToggle={() => toggle(worker.id)}
            onDrain={() => void drain(worker)}
          />
        ))}
      </ul>
      <EngineNodes />
    </div>
  );
}

function NoWorkers(): JSX.Element {
  const url = about.value?.natsUrl ?? "nats://localhost:4222";
  return (
    <EmptyState
      title="No worker is there"
      text="Runs are accepted and wait until a worker serves their steps. Start one on a file that defines workflows:"
      commands={[`sluice worker ./workflows.ts --nats ${url} --slots 100`]}
    />
  );
}
