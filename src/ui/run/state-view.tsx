/** All that is known of a run at the cursor: its state, its context with what the frame changed, input, outputs, errors. */
import type { ComponentChildren, JSX } from "preact";
import { useMemo } from "preact/hooks";
import type { RunView, StepView } from "../../protocol/view.ts";
import type { ErrorData } from "../../protocol/work.ts";
import { CopyButton } from "../kit/copy-button.tsx";
import { JsonView } from "../kit/json-view.tsx";
import { StatusBadge } from "../kit/status-badge.tsx";
import { DiffView } from "./diff-view.tsx";
import { diffJson } from "./model/json-diff.ts";
import { workerName } from "./model/names.ts";
import { stateRows } from "./model/state-tree.ts";
import { shortSpan } from "./model/span-text.ts";
import type { RunStore } from "./run-store.ts";
import "./state.css";

export interface StateViewProps {
  readonly store: RunStore;
  readonly run: RunView;
}

export function StateView({ store, run }: StateViewProps): JSX.Element {
  const frame = store.frame.value;
  const before = store.before.value;
  const steps = frame?.steps ?? run.steps;
  const errors = Object.entries(steps).flatMap(([name, { error }]) => (error === undefined ? [] : [[name, error] as const]));
  // The run's own error is that of a step nearly always.
  const own = run.error !== undefined && !store.past.value && errors.length === 0 ? run.error : undefined;
  const outputs = Object.entries(steps).filter(([, { output }]) => output !== undefined);
  const changed = useMemo(() => diffJson(before?.context, frame?.context), [before, frame]);
  return (
    <div class="state">
      <Section name="State" copy={frame?.value}>
        <StateTree store={store} />
      </Section>
      <Section name="Steps">
        <StepTable steps={steps} at={frame?.at} />
      </Section>
      {errors.map(([name, error]) => (
        <ErrorSection key={name} name={`Error of ${name}`} error={error} />
      ))}
      {own !== undefined && <ErrorSection name="Error" error={own} />}
      {frame?.context !== undefined && frame.context !== null && (
        <Section
          name="Context"
          copy={frame.context}
          note={
            before === undefined
              ? undefined
              : changed.touched
                ? "what this frame changed is marked"
                : "this frame changed nothing in it"
          }
        >
          <DiffView key={frame.index} root={changed} />
        </Section>
      )}
      {outputs.length > 0 && (
        <Section name="Outputs" copy={Object.fromEntries(outputs.map(([name, { output }]) => [name, output]))}>
          {outputs.map(([name, { output }]) => (
            <div class="state-output" key={name}>
              <h4>{name}</h4>
              <JsonView value={output} open={2} />
            </div>
          ))}
        </Section>
      )}
      <Section name="Input" copy={run.input}>
        {run.input === null && run.inputRef !== undefined ? (
          <p class="kit-muted">
            It is too large to be shown here, or its message is gone: stream {run.inputRef.stream}, sequence {run.inputRef.seq}.
          </p>
        ) : (
          <JsonView value={run.input} open={3} />
        )}
      </Section>
      {Object.keys(run.metadata).length > 0 && (
        <Section name="Metadata" copy={run.metadata}>
          <JsonView value={run.metadata} open={2} />
        </Section>
      )}
    </div>
  );
}

function Section({
  name,
  copy,
  note,
  children,
}: {
  readonly name: string;
  readonly copy?: unknown;
  readonly note?: string | undefined;
  readonly children: ComponentChildren;
}): JSX.Element {
  return (
    <section class="state-section" aria-label={name}>
      <header>
        <h3>{name}</h3>
        {note !== undefined && <span class="kit-muted">{note}</span>}
        {copy !== undefined && <CopyButton text={() => JSON.stringify(copy, undefined, 2)} title={`Copy as JSON: ${name}`} />}
      </header>
      {children}
    </section>
  );
}

function StateTree({ store }: { readonly store: RunStore }): JSX.Element {
  const frame = store.frame.value;
  const before = store.before.value;
  if (frame?.value === undefined) {
    const why = frame === undefined ? (store.recordProblem.value ?? "Nothing is known of it.") : store.machineProblem.value;
    return <p class="kit-muted">{why ?? "There is no machine yet: it begins when the run is admitted."}</p>;
  }
  return (
    <ul class="state-tree">
      {stateRows(frame.value, before?.value).map((row) => (
        <li
          key={`${row.path} ${row.mark}`}
          data-mark={row.mark}
          data-leaf={row.leaf}
          style={{ paddingLeft: `${row.depth * 16}px` }}
        >
          <span class="state-name">{row.name}</span>
          {row.mark !== "same" && <span class="state-mark">{row.mark}</span>}
        </li>
      ))}
    </ul>
  );
}

function StepTable({
  steps,
  at,
}: {
  readonly steps: Readonly<Record<string, StepView>>;
  readonly at: string | undefined;
}): JSX.Element {
  return (
    <table class="state-steps">
      <thead>
        <tr>
          <th>step</th>
          <th>status</th>
          <th class="state-number">attempts</th>
          <th class="state-number">took</th>
          <th>worker</th>
        </tr>
      </thead>
      <tbody>
        {Object.entries(steps).map(([name, step]) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td>
              <StatusBadge status={step.status} />
            </td>
            <td class="state-number">{step.attempts}</td>
            <td class="state-number">{took(step, at)}</td>
            <td class="kit-mono" title={step.worker}>
              {step.worker === undefined ? "" : workerName(step.worker)}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** Of the last attempt; of one that goes on, until the frame. */
function took({ startedAt, finishedAt, status }: StepView, at: string | undefined): string {
  if (startedAt === undefined) return "";
  const end = finishedAt ?? (status === "RUNNING" || status === "STOPPING" ? at : undefined);
  return end === undefined ? "" : shortSpan(Date.parse(end) - Date.parse(startedAt));
}

function ErrorSection({ name, error }: { readonly name: string; readonly error: ErrorData }): JSX.Element {
  const { stack, message, name: type, ...rest } = error;
  return (
    <Section name={name} copy={error}>
      <p class="state-error">
        <strong>{type}</strong> {message}
      </p>
      {stack !== undefined && <pre class="state-stack">{stack}</pre>}
      {Object.keys(rest).length > 0 && <JsonView value={rest} open={2} />}
    </Section>
  );
}
