/** A run that was just started from the form, until its first seconds are over: what became of it, and the way to it. */
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { RunView } from "../../protocol/view.ts";
import { call } from "../api.ts";
import { Button } from "../kit/button.tsx";
import { RunLink } from "../kit/links.tsx";
import { StatusBadge } from "../kit/status-badge.tsx";
import { Time } from "../kit/time.tsx";
import { useLive } from "../live.ts";

export interface StartedRunProps {
  readonly run: RunView;
  /** The input did not satisfy the workflow's own schema. */
  readonly onRefused: (run: RunView) => void;
  readonly onAnother: () => void;
}

export function StartedRun({ run: started, onRefused, onAnother }: StartedRunProps): JSX.Element {
  const [run, setRun] = useState(started);
  const refused = useRef(false);
  const another = useRef<HTMLDivElement>(null);
  const load = () => {
    call("run.get", { id: started.id }).then(
      (now) => {
        setRun(now);
        if (now.status === "FAILED" && now.reason === "INPUT_INVALID" && !refused.current) {
          refused.current = true;
          onRefused(now);
        }
      },
      () => {
        // The link is there all the same.
      },
    );
  };
  useLive(`run:${started.id}`, load);
  useEffect(() => {
    load();
    another.current?.querySelector("button")?.focus();
  }, []);
  return (
    <div class="flows-started" ref={another} data-started={run.id} data-status={run.status}>
      <StatusBadge status={run.status} />
      <RunLink id={run.id}>Run {run.id.slice(-8)}</RunLink>
      {run.scheduledAt !== undefined && run.status === "QUEUED" && (
        <span class="kit-muted">
          starts <Time at={run.scheduledAt} />
        </span>
      )}
      {run.reason !== undefined && <code>{run.reason}</code>}
      <Button onClick={onAnother}>Start another</Button>
    </div>
  );
}
