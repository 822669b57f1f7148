/** Buttons. */
import type { ComponentChildren, JSX } from "preact";
import "./kit.css";

export interface ButtonProps extends Omit<JSX.IntrinsicElements["button"], "kind" | "type"> {
  readonly kind?: "plain" | "primary" | "danger" | "quiet" | undefined;
  readonly children?: ComponentChildren;
}

export function Button({ kind = "plain", class: className, ...rest }: ButtonProps): JSX.Element {
  return <button {...rest} type="button" class={`kit-button ${className ?? ""}`} data-kind={kind} />;
}
