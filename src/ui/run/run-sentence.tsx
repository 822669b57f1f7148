/** One sentence: what the run is doing, why it waits, or how it ended. */
import type { JSX } from "preact";
import type { RunView } from "../../protocol/view.ts";
import { GroupLink, RunLink, WorkflowLink } from "../kit/links.tsx";
import { Link } from "../router.tsx";
import { endingParts } from "./model/ending.ts";
import { isOver } from "./model/life.ts";
import { workerName } from "./model/names.ts";
import { type Part, sentenceParts } from "./model/sentence.ts";
import type { RunStore } from "./run-store.ts";
import { Ticking } from "./ticking.tsx";

export function RunSentence({ store, run }: { readonly store: RunStore; readonly run: RunView }): JSX.Element {
  const explanation = store.explanation.value;
  const parts = isOver(run.status)
    ? endingParts(run, store.life.value)
    : explanation === undefined || isOver(explanation.status)
      ? undefined
      : sentenceParts(explanation, run);
  return (
    <p class="run-sentence" data-waiting={explanation?.waitingFor} aria-live="polite">
      {parts === undefined ? (
        <span class="kit-muted">Asking what it is doing…</span>
      ) : (
        parts.map((part, index) => <PartView key={index} part={part} first={index === 0} />)
      )}
    </p>
  );
}

function PartView({ part, first }: { readonly part: Part; readonly first: boolean }): JSX.Element {
  switch (part.kind) {
    case "text":
      return <>{part.text}</>;
    case "run":
      return <RunLink id={part.id} />;
    case "group":
      return (
        <>
          <GroupLink limit={part.limit} groupKey={part.key}>
            {part.text}
          </GroupLink>{" "}
          <span class="kit-muted">(limit {part.limit})</span>
        </>
      );
    case "worker":
      return (
        <Link href="/workers" title={part.id}>
          {workerName(part.id)}
        </Link>
      );
    case "workflow":
      return (
        <>
          workflow <WorkflowLink name={part.name} />
        </>
      );
    case "step":
      return (
        <>
          {first ? "Step" : "step"} <strong>{part.name}</strong>
        </>
      );
    case "until":
    case "since":
      return <Ticking at={part.at} kind={part.kind} />;
    case "quote":
      return <q class="run-quote">{part.text}</q>;
  }
}
