/** How far something is: done, failed, left. */
import type { JSX } from "preact";
import "./kit.css";

export interface ProgressProps {
  readonly label: string;
  readonly done: number;
  readonly failed?: number;
  readonly total: number;
}

export function Progress({ label, done, failed = 0, total }: ProgressProps): JSX.Element {
  const share = (value: number) => ({ width: `${total === 0 ? 0 : (100 * value) / total}%` });
  return (
    <div
      class="kit-progress"
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={total}
      aria-valuenow={done + failed}
    >
      <div class="kit-progress-done" style={share(done)} />
      <div class="kit-progress-failed" style={share(failed)} />
    </div>
  );
}
