/** A question in front of the page: the browser's own modal dialog, which keeps the focus and closes with Esc. */
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { Button } from "./button.tsx";
import "./kit.css";

export interface DialogProps {
  readonly title: string;
  readonly children?: ComponentChildren;
  /** The word on the button that agrees; without it, there is only "Close". */
  readonly confirm?: string | undefined;
  readonly kind?: "primary" | "danger" | undefined;
  readonly onConfirm?: (() => void) | undefined;
  readonly onClose: () => void;
}

export function Dialog({ title, children, confirm, kind = "primary", onConfirm, onClose }: DialogProps): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  return (
    <dialog
      ref={dialog}
      class="kit-dialog"
      aria-labelledby={heading}
      onClose={onClose}
      onClick={(event) => event.target === event.currentTarget && onClose()}
    >
      <h2 id={heading}>{title}</h2>
      {children}
      <div class="kit-dialog-buttons">
        <Button onClick={onClose}>{confirm === undefined ? "Close" : "Not now"}</Button>
        {confirm !== undefined && (
          <Button kind={kind} onClick={onConfirm} autofocus>
            {confirm}
          </Button>
        )}
      </div>
    </dialog>
  );
}
