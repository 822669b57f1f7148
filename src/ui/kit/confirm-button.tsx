/** A button that asks before it does something. */
import type { ComponentChildren, JSX } from "preact";
import { useState } from "preact/hooks";
import { Button, type ButtonProps } from "./button.tsx";
import { Dialog } from "./dialog.tsx";

export interface ConfirmButtonProps extends Omit<ButtonProps, "onClick"> {
  /** What is asked, as a sentence: "Cancel 37 runs?" */
  readonly question: string;
  /** What that means, if it must be said. */
  readonly detail?: ComponentChildren;
  /** The word on the button that does it: "Cancel them". */
  readonly confirm: string;
  readonly onConfirm: () => void;
}

export function ConfirmButton({ question, detail, confirm, onConfirm, ...button }: ConfirmButtonProps): JSX.Element {
  const [asking, setAsking] = useState(false);
  return (
    <>
      <Button {...button} onClick={() => setAsking(true)} />
      {asking && (
        <Dialog
          title={question}
          confirm={confirm}
          kind={button.kind === "danger" ? "danger" : "primary"}
          onConfirm={() => {
            setAsking(false);
            onConfirm();
          }}
          onClose={() => setAsking(false)}
        >
          {detail}
        </Dialog>
      )}
    </>
  );
}
