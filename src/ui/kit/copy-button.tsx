/** Copies a text, and says that it did. */
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Button } from "./button.tsx";

export interface CopyButtonProps {
  readonly text: string | (() => string);
  /** Default "Copy". */
  readonly children?: ComponentChildren;
  readonly title?: string;
}

export function CopyButton({ text, children = "Copy", title }: CopyButtonProps): JSX.Element {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return undefined;
    const timer = setTimeout(() => setCopied(false), 1_500);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = async () => setCopied(await copyText(typeof text === "string" ? text : text()));
  return (
    <Button kind="quiet" title={title} onClick={() => void copy()} aria-live="polite">
      {copied ? "Copied" : children}
    </Button>
  );
}

/** The clipboard is only there on secure addresses; elsewhere the old way is taken. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "sr-only";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
