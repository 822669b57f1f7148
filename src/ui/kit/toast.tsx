/** Short notes at the edge of the page: what was done, or why it was not. */
import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { Button } from "./button.tsx";
import "./kit.css";

interface Note {
  readonly id: number;
  readonly text: string;
  readonly kind: "plain" | "ok" | "bad";
}

const notes = signal<readonly Note[]>([]);
let count = 0;

/** What went wrong stays longer. */
const STAYS_MS = { plain: 4_000, ok: 4_000, bad: 10_000 };

export function toast(text: string, kind: Note["kind"] = "plain"): void {
  const note = { id: ++count, text, kind };
  notes.value = [...notes.value.filter((other) => other.text !== text), note].slice(-4);
  setTimeout(() => dismiss(note.id), STAYS_MS[kind]);
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
          <Button kind="quiet" aria-label="Dismiss" onClick={() => dismiss(note.id)}>
            ✕
          </Button>
        </div>
      ))}
    </div>
  );
}
