/** Times that count, without rendering anything again: down to a moment, or up from one. */
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { exactText } from "../kit/time-text.ts";
import { countdownText, shortSpan } from "./model/span-text.ts";

export interface TickingProps {
  readonly at: string;
  readonly kind: "until" | "since";
}

export function Ticking({ at, kind }: TickingProps): JSX.Element {
  const element = useRef<HTMLTimeElement>(null);
  const ms = Date.parse(at);
  useEffect(() => {
    const write = (): void => {
      if (element.current !== null && !document.hidden) element.current.textContent = text(ms, kind, Date.now());
    };
    // Tenths only where they are shown.
    const near = kind === "until" && ms - Date.now() < 60_000;
    const timer = setInterval(write, near ? 100 : 1_000);
    return () => clearInterval(timer);
  }, [ms, kind]);
  return (
    <time ref={element} class="run-ticking" dateTime={at} title={exactText(ms)} data-kind={kind}>
      {text(ms, kind, Date.now())}
    </time>
  );
}

function text(ms: number, kind: TickingProps["kind"], now: number): string {
  if (kind === "until") return ms <= now ? "now" : `in ${countdownText(ms - now)}`;
  const elapsed = Math.max(0, now - ms);
  // Whole seconds: a tenth that stands still for a second would look exact, and is not.
  return elapsed < 60_000 ? `${Math.floor(elapsed / 1_000)} s` : shortSpan(elapsed);
}
