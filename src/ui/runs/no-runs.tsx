/** What stands in the place of an empty list: what to type next. */
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { describeError } from "../api.ts";
import { Button } from "../kit/button.tsx";
import { EmptyState } from "../kit/empty-state.tsx";
import { Link } from "../router.tsx";
import { about } from "../shell/about.ts";
import { natsCommand, sluiceCommand } from "../shell/publish-commands.ts";
import { DemoButton } from "./demo-button.tsx";
import { example, knownValues, refreshKnownValues } from "./known-values.ts";

export interface NoRunsProps {
  readonly filter: string;
  readonly error: unknown;
  readonly onClear: () => void;
  readonly onRetry: () => void;
}

export function NoRuns({ filter, error, onClear, onRetry }: NoRunsProps): JSX.Element {
  useEffect(() => void refreshKnownValues(), []);
  if (error !== undefined) {
    return (
      <EmptyState
        title="The runs could not be loaded"
        text={describeError(error)}
        action={<Button onClick={onRetry}>Try again</Button>}
      />
    );
  }
  if (filter !== "") {
    return (
      <EmptyState
        title="No run matches"
        text="New ones that do appear here by themselves."
        action={<Button onClick={onClear}>Clear the filter</Button>}
      />
    );
  }
  const { demo = false, readOnly = true } = about.value ?? {};
  const { name, payload } = example.value ?? { name: "", payload: "" };
  return (
    <EmptyState
      title="No runs yet"
      text={
        knownValues.value.workflow?.length === 0 ? (
          <>
            No workflow is known either: start a worker first. <Link href="/workers">Workers</Link>
          </>
        ) : (
          "A run starts when an event arrives that its workflow listens to. Publish one, from any language, or from a terminal:"
        )
      }
      commands={name === "" ? [] : [sluiceCommand(name, payload), natsCommand(name, payload)]}
      action={demo && !readOnly ? <DemoButton /> : undefined}
    />
  );
}
