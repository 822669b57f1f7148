/**
 * What a row cannot hold, on hover (or `w`): the reason of a run that failed or was cancelled; for one that still goes on, what
 * it is doing or waits for, asked from the server only then.
 */
import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { call, describeError, isAbort } from "../api.ts";
import { isOver, type RunRow } from "./run-row.ts";

interface Tip {
  readonly id: string;
  readonly anchor: DOMRect;
  readonly text: string | undefined;
}

const tip = signal<Tip | undefined>(undefined);
const HOVER_MS = 250;
let timer: ReturnType<typeof setTimeout> | undefined;
let asking: AbortController | undefined;

/** After a moment, or at once for the keyboard. */
export function showWhy(row: RunRow, element: HTMLElement, delayMs = HOVER_MS): void {
  hideWhy();
  timer = setTimeout(() => void open(row, element), delayMs);
}

export function hideWhy(): void {
  clearTimeout(timer);
  asking?.abort();
  if (tip.value !== undefined) tip.value = undefined;
}

async function open(row: RunRow, element: HTMLElement): Promise<void> {
  const show = (text: string | undefined) => {
    if (element.isConnected) tip.value = { id: row.id, anchor: element.getBoundingClientRect(), text };
  };
  if (isOver(row.status)) {
    const reason = reasonText(row);
    if (reason !== undefined) show(reason);
    return;
  }
  show(undefined);
  asking = new AbortController();
  const { signal } = asking;
  try {
    show((await call("run.explain", { id: row.id }, signal)).sentence);
  } catch (error) {
    if (!isAbort(error)) show(describeError(error));
  }
}

/** `STEP_FAILED` and its message as a sentence; undefined for what went well. */
export function reasonText(row: Pick<RunRow, "status" | "reason" | "error">): string | undefined {
  if (row.status === "SUCCEEDED") return undefined;
  const reason = row.reason?.toLowerCase().replaceAll("_", " ");
  const text = [reason, row.error].filter((part) => part !== undefined).join(": ");
  return text === "" ? undefined : text.charAt(0).toUpperCase() + text.slice(1);
}

export function WhyTip(): JSX.Element | null {
  const box = useRef<HTMLDivElement>(null);
  const shown = tip.value;
  useLayoutEffect(() => {
    const element = box.current;
    if (element === null || shown === undefined) return;
    const { width, height } = element.getBoundingClientRect();
    const below = shown.anchor.bottom + 4;
    element.style.left = `${Math.max(8, Math.min(shown.anchor.left + 28, innerWidth - width - 8))}px`;
    element.style.top = `${below + height > innerHeight - 8 ? shown.anchor.top - height - 4 : below}px`;
  }, [shown]);
  if (shown === undefined) return null;
  return (
    <div ref={box} class="runs-why" role="tooltip">
      {shown.text ?? "…"}
    </div>
  );
}
