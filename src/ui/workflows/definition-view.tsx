/** A workflow's definition to read: its steps with what they wait for, their retries and times; its limits; its triggers. */
import type { JSX } from "preact";
import type { StepSpec, WorkflowSpec } from "../../workflow/spec.ts";
import { JsonView } from "../kit/json-view.tsx";
import { durationText } from "../kit/time-text.ts";
import { strategySentence, StrategyName } from "../groups/strategy.tsx";
import { Link } from "../router.tsx";
import { StepsGraph } from "./steps-graph.tsx";
import { CronName, CronTime, EventNames } from "./triggers.tsx";

export interface DefinitionViewProps {
  readonly spec: WorkflowSpec;
  readonly nextCron: readonly string[];
}

export function DefinitionView({ spec, nextCron }: DefinitionViewProps): JSX.Element {
  return (
    <>
      <section class="flows-section" aria-label="Triggers">
        <h2>Starts on</h2>
        <div class="flows-triggers">
          <EventNames on={spec.on} />
          {spec.cron.map((cron, i) => (
            <CronName key={i} cron={cron} />
          ))}
          {spec.on.length === 0 && spec.cron.length === 0 && (
            <span class="kit-muted">calls only: no event and no cron starts it</span>
          )}
        </div>
        {nextCron.length > 0 && (
          <p class="flows-next">
            <span class="kit-muted">next</span>
            {nextCron.map((at) => (
              <CronTime key={at} at={at} />
            ))}
          </p>
        )}
      </section>
      <section class="flows-section" aria-label="Limits">
        <h2>Limits</h2>
        {spec.limits.length === 0 && <p class="kit-muted">None: a run starts as soon as a worker has a slot.</p>}
        {spec.limits.map((limit) => (
          <div key={limit.name} class="flows-limit-full">
            <p>
              <Link href={`/groups?q=${encodeURIComponent(`limit:${limit.name}`)}`}>{limit.name}</Link>: <b>{limit.maxRuns}</b> at
              once per{" "}
              {limit.key.kind === "cel" ? (
                <code>{limit.key.expression}</code>
              ) : (
                "key, which a function of the definition computes"
              )}{" "}
              · <StrategyName strategy={limit.strategy} />
            </p>
            <p class="kit-muted">{strategySentence(limit.strategy)}</p>
          </div>
        ))}
      </section>
      <section class="flows-section" aria-label="Steps">
        <h2>Steps</h2>
        <div class="flows-scroll" tabIndex={0} role="group" aria-label="Drawing of the steps">
          <StepsGraph steps={spec.steps} />
        </div>
        <div class="flows-scroll" tabIndex={0} role="group" aria-label="Table of the steps">
          <table class="flows-table">
            <thead>
              <tr>
                <th>Step</th>
                <th>After</th>
                <th>Retries</th>
                <th>Backoff</th>
                <th title="How long one attempt may execute">Timeout</th>
                <th title="How long it may wait for a worker">Waits for a worker</th>
              </tr>
            </thead>
            <tbody>
              {spec.steps.map((step) => (
                <tr key={step.name}>
                  <td>{step.name}</td>
                  <td class="kit-muted">{step.after.join(", ") || "–"}</td>
                  <td>{step.retries}</td>
                  <td class="kit-muted">{backoffText(step)}</td>
                  <td>{step.timeoutMs === undefined ? <span class="kit-muted">none</span> : span(step.timeoutMs)}</td>
                  <td class="kit-muted">at most {span(step.scheduleTimeoutMs)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
        <p class="kit-muted">
          When a step fails for good,{" "}
          {spec.onStepFailure === "cancel" ? "the others are cancelled" : "those that are running finish"}; cancelled work may
          keep its slots for {span(spec.graceMs)}.
          {spec.scheduleTimeoutMs !== undefined && ` A run waits in its groups for at most ${span(spec.scheduleTimeoutMs)}.`}
        </p>
      </section>
      <section class="flows-section" aria-label="As JSON">
        <details>
          <summary>The definition as JSON</summary>
          <JsonView value={spec} open={1} />
        </details>
      </section>
    </>
  );
}

function backoffText({ retries, backoff }: StepSpec): string {
  if (retries === 0) return "–";
  const { factor, minMs, maxMs } = backoff;
  return `${span(minMs)}${factor === 1 ? "" : ` ×${factor}`}, at most ${span(maxMs)}`;
}

/** Round times without a fraction: `30 s`, not `30.0 s`. */
function span(ms: number): string {
  if (ms < 60_000 && ms >= 1_000 && ms % 1_000 === 0) return `${ms / 1_000} s`;
  if (ms >= 86_400_000 && ms % 86_400_000 === 0) return `${ms / 86_400_000} d`;
  if (ms >= 3_600_000 && ms % 3_600_000 === 0) return `${ms / 3_600_000} h`;
  if (ms >= 60_000 && ms % 60_000 === 0) return `${ms / 60_000} min`;
  return durationText(ms);
}
