/** When a run is to start: now, after a while, or at a time in the viewer's zone. */
import type { JSX } from "preact";

export interface When {
  readonly kind: "now" | "delay" | "at";
  readonly text: string;
}

export interface ReadWhen {
  readonly request?: { readonly delay?: string; readonly at?: string };
  readonly problem?: string;
}

/** As the operation takes it. The server reads durations; a time is turned into UTC here. */
export function readWhen({ kind, text }: When): ReadWhen {
  if (kind === "now") return {};
  if (kind === "delay") {
    if (!/^\s*(\d+(\.\d+)?(ms|s|m|h|d))+\s*$/.test(text))
      return { problem: 'expected a duration such as "30s", "5m" or "1h30m"' };
    return { request: { delay: text.trim() } };
  }
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? { problem: "expected a day and a time" } : { request: { at: new Date(ms).toISOString() } };
}

export function WhenFields({ when, onChange }: { readonly when: When; readonly onChange: (when: When) => void }): JSX.Element {
  return (
    <>
      <label>
        Start
        <select
          class="kit-input"
          value={when.kind}
          onChange={(event) => onChange({ kind: event.currentTarget.value as When["kind"], text: "" })}
        >
          <option value="now">now</option>
          <option value="delay">after</option>
          <option value="at">at</option>
        </select>
      </label>
      {when.kind === "delay" && (
        <input
          class="kit-input"
          aria-label="Delay"
          placeholder="30s, 5m, 1h30m"
          value={when.text}
          onInput={(event) => onChange({ ...when, text: event.currentTarget.value })}
        />
      )}
      {when.kind === "at" && (
        <input
          class="kit-input"
          type="datetime-local"
          step={1}
          aria-label="Time, in your zone"
          value={when.text}
          onInput={(event) => onChange({ ...when, text: event.currentTarget.value })}
        />
      )}
    </>
  );
}
