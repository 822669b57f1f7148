/** Times: relative to now, exact on hover; durations, also of what still goes on. All on one clock. */
import type { JSX } from "preact";
import { now } from "./clock.ts";
import { durationText, exactText, relativeText } from "./time-text.ts";

export interface TimeProps {
  /** ISO 8601. */
  readonly at: string | undefined;
}

export function Time({ at }: TimeProps): JSX.Element | null {
  if (at === undefined) return null;
  const ms = Date.parse(at);
  return (
    <time dateTime={at} title={exactText(ms)}>
      {relativeText(ms, Math.max(now.value, Math.min(ms, Date.now())))}
    </time>
  );
}

/** Either a length, or a beginning and (where it is over) an end. */
export type DurationProps = { readonly ms: number } | { readonly from: string | undefined; readonly to?: string | undefined };

export function Duration(props: DurationProps): JSX.Element | null {
  if ("ms" in props) return <span>{durationText(props.ms)}</span>;
  if (props.from === undefined) return null;
  const from = Date.parse(props.from);
  if (props.to !== undefined) return <span>{durationText(Date.parse(props.to) - from)}</span>;
  // What goes on ticks in whole seconds: a tenth that stands still for a second would look exact, and is not.
  const ms = Math.max(0, now.value - from);
  return <span>{ms < 60_000 ? `${Math.floor(ms / 1_000)} s` : durationText(ms)}</span>;
}
