/** The status of a run or a step: a mark and a word, so that nothing depends on colour alone. */
import type { JSX } from "preact";
import type { RunStatus, StepStatus } from "../../protocol/view.ts";
import "./kit.css";

export interface StatusBadgeProps {
  readonly status: RunStatus | StepStatus;
  /** Shown on hover. */
  readonly title?: string | undefined;
  /** Only the mark; the word is for screen readers. */
  readonly compact?: boolean | undefined;
}

export function StatusBadge({ status, title, compact = false }: StatusBadgeProps): JSX.Element {
  return (
    <span class="kit-status" data-status={status} title={title}>
      <span class="kit-dot" aria-hidden="true" />
      <span class={compact ? "sr-only" : undefined}>{statusText(status)}</span>
    </span>
  );
}

export function statusText(status: RunStatus | StepStatus): string {
  return status.charAt(0) + status.slice(1).toLowerCase();
}
