/** The number of slots of one group, to change where it stands. */
import type { JSX } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import type { GroupView } from "../../protocol/view.ts";
import { Button } from "../kit/button.tsx";
import { readMaxRuns } from "./group-actions.ts";

export interface LimitEditorProps {
  readonly group: GroupView;
  readonly onSave: (maxRuns: number | null) => void;
  readonly onClose: () => void;
}

export function LimitEditor({ group, onSave, onClose }: LimitEditorProps): JSX.Element {
  const [text, setText] = useState(String(group.maxRuns));
  const [problem, setProblem] = useState<string | undefined>(undefined);
  const input = useRef<HTMLInputElement>(null);
  const message = useId();
  useEffect(() => input.current?.select(), []);
  const save = (event: Event) => {
    event.preventDefault();
    const read = readMaxRuns(text);
    if (typeof read === "string") return setProblem(read);
    onClose();
    if (read !== group.maxRuns || group.overridden !== true) onSave(read);
  };
  return (
    <form
      class="groups-limit-editor"
      onSubmit={save}
      onKeyDown={(event) => {
        if (event.key !== "Escape") return;
        event.preventDefault();
        event.stopPropagation();
        onClose();
      }}
    >
      <input
        ref={input}
        class="kit-input"
        inputMode="numeric"
        aria-label={`Slots of ${group.key}`}
        aria-invalid={problem !== undefined}
        aria-describedby={problem === undefined ? undefined : message}
        value={text}
        onInput={(event) => {
          setText(event.currentTarget.value);
          setProblem(undefined);
        }}
      />
      <button type="submit" class="kit-button" data-kind="primary">
        Set
      </button>
      {group.overridden === true && (
        <Button
          title="Take this group's own limit back"
          onClick={() => {
            onClose();
            onSave(null);
          }}
        >
          Rule's own
        </Button>
      )}
      <Button kind="quiet" aria-label="Keep it" onClick={onClose}>
        ✕
      </Button>
      {problem !== undefined && (
        <span id={message} class="groups-limit-problem" role="alert">
          {problem}
        </span>
      )}
    </form>
  );
}
