/** JSON to read: coloured, what is nested can be closed. Long strings and lists are cut until asked for. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { REDACTED } from "../../protocol/redact.ts";
import "./kit.css";

export interface JsonViewProps {
  readonly value: unknown;
  /** How many levels are open at first. Default 2. */
  readonly open?: number;
}

const LONG_TEXT = 400;
const LONG_LIST = 100;

export function JsonView({ value, open = 2 }: JsonViewProps): JSX.Element {
  return (
    <div class="kit-json">
      <Value value={value} open={open} />
    </div>
  );
}

interface ValueProps {
  readonly value: unknown;
  readonly open: number;
  readonly name?: string;
}

function Value({ value, open, name }: ValueProps): JSX.Element {
  const label = name === undefined ? null : <span class="kit-json-key">{name}: </span>;
  if (typeof value !== "object" || value === null) {
    return (
      <div>
        {label}
        <Scalar value={value} />
      </div>
    );
  }
  const list = Array.isArray(value);
  const entries = Object.entries(value);
  if (entries.length === 0) {
    return (
      <div>
        {label}
        {list ? "[]" : "{}"}
      </div>
    );
  }
  return <Nested label={label} list={list} entries={entries} open={open} />;
}

interface NestedProps {
  readonly label: JSX.Element | null;
  readonly list: boolean;
  readonly entries: readonly (readonly [string, unknown])[];
  readonly open: number;
}

function Nested({ label, list, entries, open }: NestedProps): JSX.Element {
  // Children of what is closed are not rendered: values may be large.
  const [opened, setOpened] = useState(open > 0);
  const [all, setAll] = useState(false);
  const shown = all ? entries : entries.slice(0, LONG_LIST);
  return (
    <details open={opened} onToggle={(event) => setOpened(event.currentTarget.open)}>
      <summary>
        {label}
        <span class="kit-muted">{list ? `[${entries.length}]` : `{${entries.length}}`}</span>
      </summary>
      {opened && (
        <div class="kit-json-children">
          {shown.map(([name, child]) => (
            <Value key={name} name={name} value={child} open={open - 1} />
          ))}
          {shown.length < entries.length && (
            <button type="button" class="kit-button" data-kind="quiet" onClick={() => setAll(true)}>
              {entries.length - shown.length} more
            </button>
          )}
        </div>
      )}
    </details>
  );
}

function Scalar({ value }: { readonly value: unknown }): JSX.Element {
  const [all, setAll] = useState(false);
  if (value === REDACTED) {
    return (
      <span class="kit-json-redacted" title="Fields with this name are neither stored nor shown">
        redacted
      </span>
    );
  }
  if (typeof value !== "string") {
    return <span class={typeof value === "number" ? "kit-json-number" : "kit-json-literal"}>{String(value)}</span>;
  }
  const cut = !all && value.length > LONG_TEXT;
  return (
    <span class="kit-json-string">
      {JSON.stringify(cut ? value.slice(0, LONG_TEXT) : value)}
      {cut && (
        <button type="button" class="kit-button" data-kind="quiet" onClick={() => setAll(true)}>
          {value.length - LONG_TEXT} more characters
        </button>
      )}
    </span>
  );
}
