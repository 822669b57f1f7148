/** Short notes at the edge of the page: what was done, or why it was not. */
import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { Button } from "./button.tsx";
import "./kit.css";

interface Note {
  readonly id: number;
  readonly text: string;
  readonly kind: "plain" | "ok" | "bad";
  readonly action?: NoteAction | undefined;
}

/** What can be done about it. */
export interface NoteAction {
  readonly label: string;
  readonly run: () => void;
}

const notes = signal<readonly Note[]>([]);
let count = 0;

/** What went wrong stays longer. */
const STAYS_MS = { plain: 4_000, ok: 4_000, bad: 10_000 };

export function toast(text: string, kind: Note["kind"] = "plain", action?: NoteAction): void {
  const note = { id: ++count, text, kind, action };
  notes.value = [...notes.value.filter((other) => other.text !== text), note].slice(-4);
  // Time to reach for what is offered.
  setTimeout(() => dismiss(note.id), STAYS_MS[action === undefined ? kind : "bad"]);
}

function dismiss(id: number): void {
  notes.value = notes.value.filter((note) => note.id !== id);
}

/** Once per page, in the shell. */
export function Toasts(): JSX.Element {
  return (
    <div class="kit-toasts" role="status" aria-live="polite">
      {notes.value.map((note) => (
        <div key={note.id} class="kit-toast" data-kind={note.kind}>
          <span>{note.text}</span>
          {note.action !== undefined && <ActionButton note={note} action={note.action} />}
          <Button kind="quiet" aria-label="Dismiss" onClick={() => dismiss(note.id)}>
            ✕
          </Button>
        </div>
      ))}
    </div>
  );
}

function ActionButton({ note, action }: { readonly note: Note; readonly action: NoteAction }): JSX.Element {
  return (
    <Button
      onClick={() => {
        dismiss(note.id);
        action.run();
      }}
    >
      {action.label}
    </Button>
  );
}
