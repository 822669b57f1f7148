/** What stands where there is nothing to show: why, and what to do or to type next. */
import type { ComponentChildren, JSX } from "preact";
import { CopyButton } from "./copy-button.tsx";
import "./kit.css";

export interface EmptyStateProps {
  readonly title: string;
  readonly text?: ComponentChildren;
  /** Lines for a terminal, to copy. */
  readonly commands?: readonly string[];
  readonly action?: ComponentChildren;
}

export function EmptyState({ title, text, commands = [], action }: EmptyStateProps): JSX.Element {
  return (
    <div class="kit-empty">
      <h2>{title}</h2>
      {text !== undefined && <p>{text}</p>}
      {commands.map((command) => (
        <div class="kit-command" key={command}>
          <code>{command}</code>
          <CopyButton text={command} />
        </div>
      ))}
      {action}
    </div>
  );
}
