/** What a mark stands for, beside it, while the mouse is over it: one for all marks of a page, so that marks stay cheap. */
import type { ComponentChildren, JSX, TargetedMouseEvent } from "preact";
import { useState } from "preact/hooks";
import { now } from "../kit/clock.ts";
import { durationText } from "../kit/time-text.ts";
import { bornAt } from "./run-age.ts";

interface Target {
  readonly run: string;
  readonly kind: string;
  readonly place: string | undefined;
  readonly x: number;
  readonly y: number;
  readonly above: boolean;
}

export interface MarkTipsProps {
  readonly class?: string;
  readonly children: ComponentChildren;
}

const WHAT: Readonly<Record<string, string>> = {
  active: "holds a slot",
  stopping: "was cancelled and is stopping; it keeps its slot until its worker confirms",
  over: "runs above the limit, which was lowered",
};

/** The area whose marks are explained. */
export function MarkTips({ class: className, children }: MarkTipsProps): JSX.Element {
  const [target, setTarget] = useState<Target | undefined>(undefined);
  const onOver = (event: TargetedMouseEvent<HTMLDivElement>) => {
    const mark = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-run]") : null;
    if (mark === null) return setTarget(undefined);
    const { left, width, top, bottom } = mark.getBoundingClientRect();
    const above = bottom + 80 > innerHeight;
    setTarget({
      run: mark.dataset["run"] ?? "",
      kind: mark.dataset["mark"] ?? "",
      place: mark.dataset["place"],
      x: Math.min(Math.max(left + width / 2, 130), innerWidth - 130),
      y: above ? top - 6 : bottom + 6,
      above,
    });
  };
  return (
    <div class={className} onMouseOver={onOver} onMouseLeave={() => setTarget(undefined)}>
      {children}
      {target !== undefined && <Tip target={target} />}
    </div>
  );
}

function Tip({ target: { run, kind, place, x, y, above } }: { readonly target: Target }): JSX.Element {
  const born = bornAt(run);
  const age = born === undefined ? undefined : durationText(Math.floor(Math.max(0, now.value - born) / 1_000) * 1_000);
  return (
    <div class="groups-tip" role="tooltip" data-above={above} style={{ left: `${x}px`, top: `${y}px` }}>
      <code>{run}</code>
      <span>
        {kind === "waiting" ? `${ordinal(Number(place))} in line` : WHAT[kind]}
        {age !== undefined && <span class="kit-muted"> · {kind === "waiting" ? `for ${age}` : `${age} old`}</span>}
      </span>
    </div>
  );
}

export function ordinal(place: number): string {
  const rest = place % 100;
  const ending = rest >= 11 && rest <= 13 ? "th" : (["th", "st", "nd", "rd"][place % 10] ?? "th");
  return `${place}${ending}`;
}
