/**
 * What is lit: sets attributes and texts on elements that are there already, and makes none. Works on the drawing and on the cards alike, since
 * both mark their elements with `data-state`, `data-edge`, `data-arrow` and `data-standing`.
 */
import { innermost, isStep, nodeOf, standing, visibleFor, type ChartModel } from "../../chart/index.ts";
import { shortCount } from "./counts.ts";
import type { RunFrame } from "../../protocol/record.ts";
import type { StepView } from "../../protocol/view.ts";

export interface Lit {
  /** Changes when something was taken: the same transitions of another moment move again. */
  readonly moment: string;
  readonly active: readonly string[];
  readonly taken: readonly string[];
  readonly steps: RunFrame["steps"] | undefined;
  readonly selected: string | undefined;
  readonly counts: Readonly<Record<string, number>> | undefined;
}

/** `fit` shortens what a collapsed state says to the room that it has. */
export function highlight(
  container: Element,
  model: ChartModel,
  collapsed: ReadonlySet<string>,
  lit: Lit,
  fit: (text: string, id: string) => string = (text) => text,
): void {
  const active = new Set(lit.active);
  const leaves = new Set(innermost(model, lit.active).map(({ id }) => id));
  const taken = new Set(lit.taken);
  /** What was taken within a collapsed state lights its box. */
  const flashed = new Set<string>();
  for (const id of taken) {
    const edge = model.edges.get(id);
    if (edge === undefined) continue;
    const box = visibleFor(model, edge.source, collapsed);
    if (edge.targets.length > 0 && edge.targets.every((target) => visibleFor(model, target, collapsed) === box)) flashed.add(box);
  }

  const moment = lit.moment;
  for (const element of container.querySelectorAll<HTMLElement | SVGElement>("[data-state]")) {
    const id = element.dataset["state"] ?? "";
    set(element, "active", active.has(id));
    set(element, "leaf", leaves.has(id) || (collapsed.has(id) && active.has(id)));
    set(element, "selected", id === lit.selected);
    restart(element, "flashed", flashed.has(id), moment);
    if (element.getAttribute("role") === "treeitem") element.setAttribute("aria-selected", String(active.has(id)));
  }
  for (const element of container.querySelectorAll<HTMLElement | SVGElement>("[data-edge]")) {
    restart(element, "taken", taken.has(element.dataset["edge"] ?? ""), moment);
  }
  const arrows = new Set<string>();
  for (const id of taken) {
    const edge = model.edges.get(id);
    for (const target of edge?.targets ?? []) {
      arrows.add(`${visibleFor(model, edge!.source, collapsed)}→${visibleFor(model, target, collapsed)}`);
    }
  }
  for (const element of container.querySelectorAll<SVGElement>(".chart-arrow, .chart-pill")) {
    restart(element, "taken", arrows.has(element.dataset["arrow"] ?? ""), moment);
  }
  for (const element of container.querySelectorAll<HTMLElement | SVGElement>("[data-standing]")) {
    stand(element, standingOf(model, element.dataset["standing"] ?? "", active, lit), fit);
  }
}

function set(element: HTMLElement | SVGElement, name: string, value: boolean): void {
  if (!value) delete element.dataset[name];
  else if (element.dataset[name] === undefined) element.dataset[name] = "";
}

/** Which moment an element moves for: rendering again at the same one is not a reason to move again. */
const moments = new WeakMap<Element, string>();

/** The same transition taken again moves again: the animation has two names, by turns. */
function restart(element: HTMLElement | SVGElement, name: string, value: boolean, moment: string): void {
  const was = element.dataset[name];
  if (!value) {
    if (was !== undefined) delete element.dataset[name];
    moments.delete(element);
  } else if (was === undefined || moments.get(element) !== moment) {
    element.dataset[name] = was === "a" ? "b" : "a";
    moments.set(element, moment);
  }
}

type Standing = { readonly text: string; readonly ending: string };

function stand(element: HTMLElement | SVGElement, { text, ending }: Standing, fit: (text: string, id: string) => string): void {
  const fitting = fit(text, element.dataset["standing"] ?? "");
  if (element.textContent !== fitting) element.textContent = fitting;
  const box = element.closest<HTMLElement | SVGElement>("[data-state]");
  if (box === null) return;
  box.dataset["standingEnding"] = ending;
  name(box, fitting);
}

/** Names as they were rendered, and as they are said with where the state stands. */
const names = new WeakMap<Element, { readonly rendered: string; readonly said: string }>();

function name(box: Element, standing: string): void {
  const now = box.getAttribute("aria-label");
  if (now === null) return;
  const known = names.get(box);
  const rendered = known?.said === now ? known.rendered : now;
  const [written = ""] = rendered.split(", ", 1);
  const said = `${written} ${standing}${rendered.slice(written.length)}`;
  names.set(box, { rendered, said });
  if (said !== now) box.setAttribute("aria-label", said);
}

/** Where a collapsed state stands; steps say more than the machine does, and still after it has left them. */
export function standingOf(
  model: ChartModel,
  id: string,
  active: ReadonlySet<string>,
  { steps, counts }: Pick<Lit, "steps" | "counts">,
): Standing {
  const node = model.nodes.get(id);
  if (node === undefined) return { text: "", ending: "none" };
  const isAStep = isStep(model, node);
  const step = isAStep ? steps?.[node.key] : undefined;
  const inside = [...active].filter((other) => other !== id && isWithin(model, other, id));
  const leaf = inside.at(-1) === undefined ? undefined : nodeOf(model, inside.at(-1)!);
  if (leaf !== undefined) {
    const text = isAStep ? leaf.key : (standing(model, id, active) ?? "");
    return {
      text: text + attemptsOf(step, leaf.key === "executing"),
      ending: leaf.kind === "final" ? (leaf.ending ?? "ok") : leaf.key === "blocked" ? "none" : "active",
    };
  }
  if (step !== undefined) {
    const ending = { SUCCEEDED: "ok", FAILED: "error", CANCELLED: "cancelled" }[step.status as string] ?? "none";
    return { text: step.status.toLowerCase() + attemptsOf(step, step.status === "RUNNING"), ending };
  }
  if (active.size === 0 && counts !== undefined) {
    return { text: distribution(model, id, counts) || "none", ending: "none" };
  }
  if (active.size === 0) return { text: `${countWithin(model, id)} states`, ending: "none" };
  return { text: active.has(id) ? "active" : "not active", ending: active.has(id) ? "active" : "none" };
}

function attemptsOf(step: StepView | undefined, isRunning: boolean): string {
  if (step === undefined || step.attempts < 2) return "";
  return isRunning ? ` · attempt ${step.attempts}` : ` · ${step.attempts} attempts`;
}

/** How many there are in each of the states in it: `5 executing · 20 blocked`; those that are over come last. */
function distribution(model: ChartModel, id: string, counts: Readonly<Record<string, number>>): string {
  const parts: { readonly text: string; readonly order: number }[] = [];
  const visit = (inner: string): void => {
    const node = nodeOf(model, inner);
    const count = counts[inner] ?? 0;
    if (node.children.length > 0) node.children.forEach(visit);
    else if (count > 0) {
      const order = node.kind === "final" ? 2 : node.key === "blocked" ? 1 : 0;
      parts.push({ text: `${shortCount(count)} ${node.key}`, order });
    }
  };
  nodeOf(model, id).children.forEach(visit);
  return parts
    .toSorted((a, b) => a.order - b.order)
    .map(({ text }) => text)
    .join(" · ");
}

function countWithin(model: ChartModel, id: string): number {
  return nodeOf(model, id).children.reduce((sum, child) => sum + 1 + countWithin(model, child), 0);
}

function isWithin(model: ChartModel, id: string, ancestor: string): boolean {
  for (let node = model.nodes.get(id); node !== undefined; node = node.parent ? model.nodes.get(node.parent) : undefined) {
    if (node.id === ancestor) return true;
  }
  return false;
}
