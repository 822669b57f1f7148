/** A labelled control of a form, with its hint and what is wrong with it. */
import type { ComponentChildren, JSX } from "preact";
import "./kit.css";

export interface FieldProps {
  readonly label: string;
  readonly hint?: ComponentChildren;
  readonly error?: string | undefined;
  /** One control; the label is around it. */
  readonly children: ComponentChildren;
}

export function Field({ label, hint, error, children }: FieldProps): JSX.Element {
  return (
    <label class="kit-field">
      <span>{label}</span>
      {children}
      {hint !== undefined && <small class="kit-muted">{hint}</small>}
      {error !== undefined && (
        <small class="kit-field-error" role="alert">
          {error}
        </small>
      )}
    </label>
  );
}
