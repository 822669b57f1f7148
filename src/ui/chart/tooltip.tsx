/** The full text of what the pointer, or the focus, is on. */
import type { JSX, RefObject } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { ChartModel } from "../../chart/index.ts";
import { edgeTip, stateTip, type Tip } from "./describe.ts";

const DELAY_MS = 350;

interface Placed {
  readonly tip: Tip;
  readonly x: number;
  readonly y: number;
  readonly above: boolean;
}

export function Tooltip({
  model,
  within,
}: {
  readonly model: ChartModel;
  readonly within: RefObject<HTMLElement | null>;
}): JSX.Element | null {
  const [placed, setPlaced] = useState<Placed>();

  useEffect(() => {
    const container = within.current;
    if (container === null) return undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let on: Element | undefined;
    const hide = (): void => {
      clearTimeout(timer);
      on = undefined;
      setPlaced(undefined);
    };
    const show = (element: Element, delay: number): void => {
      if (element === on) return;
      clearTimeout(timer);
      on = element;
      setPlaced(undefined);
      timer = setTimeout(() => setPlaced(place(container, element, model)), delay);
    };
    const onOver = (event: PointerEvent): void => {
      if (event.pointerType === "touch") return;
      const element = described(event.target);
      if (element === undefined || event.buttons !== 0) hide();
      else show(element, DELAY_MS);
    };
    const onFocus = (event: FocusEvent): void => {
      const element = described(event.target);
      if (element !== undefined && (event.target as Element).matches(":focus-visible")) show(element, DELAY_MS);
    };
    const onKey = (event: KeyboardEvent): void => {
      if (event.key === "Escape") hide();
    };
    container.addEventListener("pointerover", onOver);
    container.addEventListener("pointerleave", hide);
    container.addEventListener("pointerdown", hide);
    container.addEventListener("wheel", hide, { passive: true });
    container.addEventListener("focusin", onFocus);
    container.addEventListener("focusout", hide);
    container.addEventListener("keydown", onKey);
    return () => {
      clearTimeout(timer);
      container.removeEventListener("pointerover", onOver);
      container.removeEventListener("pointerleave", hide);
      container.removeEventListener("pointerdown", hide);
      container.removeEventListener("wheel", hide);
      container.removeEventListener("focusin", onFocus);
      container.removeEventListener("focusout", hide);
      container.removeEventListener("keydown", onKey);
    };
  }, [model]);

  if (placed === undefined) return null;
  const { tip, x, y, above } = placed;
  return (
    <div class="chart-tip" role="tooltip" data-above={above ? "" : undefined} style={{ left: `${x}px`, top: `${y}px` }}>
      <strong>{tip.title}</strong>
      {tip.lines.map(({ name, text, tone }) => (
        <div key={`${name} ${text}`} class="chart-tip-line" data-tone={tone}>
          {name !== undefined && <span>{name}</span>}
          <span>{text}</span>
        </div>
      ))}
    </div>
  );
}

/** Frames of states are nearly everywhere: only their headers are asked about. */
function described(target: EventTarget | null): Element | undefined {
  if (!(target instanceof Element)) return undefined;
  const edge = target.closest("[data-edge]");
  if (edge !== null) return edge;
  const state = target.closest("[data-state]");
  if (state === null) return undefined;
  const isFrame = state.hasAttribute("data-open");
  return !isFrame || target === state || target.matches("[data-toggle], .chart-title") ? state : undefined;
}

function place(container: HTMLElement, element: Element, model: ChartModel): Placed | undefined {
  const { edge, state } = (element as HTMLElement | SVGElement).dataset;
  const tip = edge !== undefined ? edgeTip(model, edge) : state !== undefined ? stateTip(model, state) : undefined;
  if (tip === undefined) return undefined;
  const outer = container.getBoundingClientRect();
  const inner = (element.querySelector("[data-toggle]") ?? element).getBoundingClientRect();
  const x = Math.min(Math.max(8, inner.left - outer.left), Math.max(8, outer.width - 300));
  const below = inner.bottom - outer.top + 8;
  const above = below > outer.height - 140;
  return { tip, x, y: above ? inner.top - outer.top - 8 : below, above };
}
