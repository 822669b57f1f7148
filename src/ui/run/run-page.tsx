/** A run: what it is and why it is where it is, and its life, seen in five ways that share one cursor. */
import { useSignalEffect } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import { route } from "../router.tsx";
import { followAddress } from "./cursor-address.ts";
import { Line } from "./line.tsx";
import { MissingRun } from "./missing-run.tsx";
import { RunHeader } from "./run-header.tsx";
import { RunSentence } from "./run-sentence.tsx";
import { RunStore } from "./run-store.ts";
import { useRunKeys } from "./run-keys.ts";
import { Views } from "./views.tsx";
import "./run.css";

export function RunPage(): JSX.Element {
  const id = route.value.path[1] ?? "";
  return <OneRun key={id} id={id} />;
}

function OneRun({ id }: { readonly id: string }): JSX.Element {
  const store = useMemo(() => new RunStore(id), [id]);
  useEffect(() => {
    const unfollow = followAddress(store);
    const stop = store.start();
    return () => {
      stop();
      unfollow();
    };
  }, [store]);
  useRunKeys(store);
  useSignalEffect(() => {
    const run = store.run.value;
    if (run !== undefined) document.title = `${run.workflow} ${run.status.toLowerCase()} · Sluice`;
  });
  const run = store.run.value;
  const problem = store.problem.value;
  if (problem !== undefined && run === undefined) return <MissingRun store={store} problem={problem} />;
  if (run === undefined) return <p class="run-loading kit-muted">Loading the run…</p>;
  return (
    <div class="run-page" data-run={run.id} data-status={run.status}>
      <RunHeader store={store} run={run} />
      <RunSentence store={store} run={run} />
      {run.status === "QUEUED" && <Line store={store} />}
      <Views store={store} run={run} />
    </div>
  );
}
