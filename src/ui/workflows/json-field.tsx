/** A place for any JSON, as text. Says where the text stops being JSON. */
import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";

export interface JsonFieldProps {
  readonly id?: string;
  readonly label?: string;
  readonly describedBy?: string;
  readonly value: unknown;
  readonly rows?: number;
  /** undefined for an empty text. Not called while the text is not JSON. */
  readonly onChange: (value: unknown) => void;
  readonly onProblem: (problem: string | undefined) => void;
}

export function JsonField({ id, label, describedBy, value, rows = 3, onChange, onProblem }: JsonFieldProps): JSX.Element {
  const [text, setText] = useState(() => pretty(value));
  const [problem, setProblem] = useState<string | undefined>(undefined);
  // What the form was given from elsewhere takes the place of the text; what came from the text does not.
  const last = useRef(value);
  if (value !== last.current && problem === undefined && JSON.stringify(value) !== JSON.stringify(last.current)) {
    last.current = value;
    if (readJson(text).value !== value) setText(pretty(value));
  }
  const onInput = (typed: string) => {
    setText(typed);
    const read = readJson(typed);
    setProblem(read.problem);
    onProblem(read.problem);
    if (read.problem !== undefined) return;
    last.current = read.value;
    onChange(read.value);
  };
  return (
    <div class="flows-json">
      <textarea
        id={id}
        class="kit-input"
        aria-label={label}
        aria-describedby={describedBy}
        aria-invalid={problem !== undefined}
        rows={Math.min(24, Math.max(rows, text.split("\n").length))}
        spellcheck={false}
        value={text}
        onInput={(event) => onInput(event.currentTarget.value)}
        onKeyDown={(event) => indent(event, onInput)}
      />
      {problem !== undefined && (
        <span class="flows-issue" role="alert">
          {problem}
        </span>
      )}
    </div>
  );
}

/** What a text says as JSON, or where it stops being JSON. */
export function readJson(text: string): { readonly value?: unknown; readonly problem?: string } {
  if (text.trim() === "") return { value: undefined };
  try {
    return { value: JSON.parse(text) as unknown };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const at = /position (\d+)/.exec(message)?.[1];
    if (at === undefined) return { problem: `not JSON: ${message}` };
    const before = text.slice(0, Number(at)).split("\n");
    return { problem: `not JSON: line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1}` };
  }
}

export function pretty(value: unknown): string {
  return value === undefined ? "" : JSON.stringify(value, null, 2);
}

/** Enter keeps the indentation of its line. Tab goes on to the next field, as everywhere. */
function indent(event: KeyboardEvent & { readonly currentTarget: HTMLTextAreaElement }, onInput: (text: string) => void): void {
  if (event.key !== "Enter" || event.ctrlKey || event.metaKey) return;
  const { value, selectionStart, selectionEnd } = event.currentTarget;
  const line = value.slice(value.lastIndexOf("\n", selectionStart - 1) + 1, selectionStart);
  const space = /^\s*/.exec(line)?.[0] ?? "";
  const deeper = /[{[]$/.test(line.trimEnd()) ? "  " : "";
  if (space === "" && deeper === "") return;
  event.preventDefault();
  const added = `\n${space}${deeper}`;
  event.currentTarget.setRangeText(added, selectionStart, selectionEnd, "end");
  onInput(event.currentTarget.value);
}
