/**
 * The part of a chart that is drawn while some states are collapsed. Edges of what is hidden are attached to the nearest visible
 * ancestor; edges between the same two boxes are one arrow with several lines, since five arrows side by side say no more.
 */
import { lineage, nodeOf, type ChartEdge, type ChartModel, type ChartNode } from "./model.ts";

/** Above so many states, compounds are collapsed until no more are visible. */
export const MAX_VISIBLE = 60;

export interface Arrow {
  readonly id: string;
  readonly source: string;
  readonly target: string;
  readonly back: boolean;
  /** In the order of the definition. */
  readonly edges: readonly ChartEdge[];
  /** At least one end of an edge is within a collapsed state. */
  readonly lifted: boolean;
  /** Not a transition: the region waits for the other. */
  readonly dependency?: boolean;
}

export interface VisibleChart {
  readonly nodes: readonly ChartNode[];
  readonly arrows: readonly Arrow[];
  readonly collapsed: ReadonlySet<string>;
}

/**
 * What a chart opens with. Steps of a workflow (regions that wait for each other, or are many) are collapsed, since where each of
 * them stands is the question; their insides are one click away. Beyond that, as much is opened as fits, outermost first.
 */
export function defaultCollapsed(model: ChartModel): ReadonlySet<string> {
  const collapsed = new Set<string>();
  let shown = 1;
  let level = [nodeOf(model, model.root)];
  while (level.length > 0) {
    const next: ChartNode[] = [];
    // Of those that are equally large, all are opened or none: which of them would be chance.
    for (const alike of bySize(level)) {
      const size = alike.reduce((sum, node) => sum + node.children.length, 0);
      const opens = alike[0]?.parent === undefined || shown + size <= MAX_VISIBLE;
      for (const node of alike) {
        if (!opens || isStep(model, node)) {
          collapsed.add(node.id);
        } else {
          shown += node.children.length;
          next.push(...node.children.map((id) => nodeOf(model, id)));
        }
      }
    }
    level = next;
  }
  return collapsed;
}

/** Those with states in them, the smallest first. */
function bySize(nodes: readonly ChartNode[]): ChartNode[][] {
  const sizes = new Map<number, ChartNode[]>();
  for (const node of nodes) {
    const { length } = node.children;
    if (length > 0) sizes.set(length, [...(sizes.get(length) ?? []), node]);
  }
  return [...sizes].sort(([a], [b]) => a - b).map(([, alike]) => alike);
}

/** A region of a parallel state whose regions depend on each other, or that is one of many. */
export function isStep(model: ChartModel, node: ChartNode): boolean {
  const parent = node.parent === undefined ? undefined : model.nodes.get(node.parent);
  if (parent?.kind !== "parallel" || node.children.length === 0) return false;
  const regions = parent.children.map((id) => nodeOf(model, id));
  return regions.some((region) => region.waitsFor.length > 0) || regions.every((region) => invokesWithin(model, region, 2));
}

/** Every step of a workflow runs somewhere else: its region invokes it, at most so deep. */
function invokesWithin(model: ChartModel, node: ChartNode, depth: number): boolean {
  if (node.invokes.some((invoke) => invoke.src === "step" && invoke.id !== undefined)) return true;
  return depth > 0 && node.children.some((id) => invokesWithin(model, nodeOf(model, id), depth - 1));
}

/** All that can be collapsed, for "collapse all": everything but the root. */
export function collapsible(model: ChartModel): readonly string[] {
  return [...model.nodes.values()].filter((node) => node.children.length > 0 && node.parent !== undefined).map(({ id }) => id);
}

/** The state itself, or the outermost collapsed one around it. */
export function visibleFor(model: ChartModel, id: string, collapsed: ReadonlySet<string>): string {
  let visible = id;
  for (const node of lineage(model, id)) if (node.id !== id && collapsed.has(node.id)) visible = node.id;
  return visible;
}

export function visibleChart(model: ChartModel, collapsed: ReadonlySet<string>): VisibleChart {
  const nodes = [...model.nodes.values()].filter((node) => visibleFor(model, node.id, collapsed) === node.id);
  const arrows = new Map<string, { arrow: Arrow; edges: ChartEdge[] }>();
  for (const edge of model.edges.values()) {
    if (edge.self) continue; // written inside the state
    for (const to of edge.targets) {
      const source = visibleFor(model, edge.source, collapsed);
      const target = visibleFor(model, to, collapsed);
      const lifted = source !== edge.source || target !== to;
      if (lifted && source === target) continue;
      const id = `${source}→${target}`;
      const known = arrows.get(id);
      if (known === undefined) {
        const edges = [edge];
        arrows.set(id, { arrow: { id, source, target, back: edge.back, edges, lifted }, edges });
      } else {
        if (!known.edges.includes(edge)) known.edges.push(edge);
        if (lifted) known.arrow = { ...known.arrow, lifted };
      }
    }
  }
  return { nodes, arrows: [...dependencies(model, nodes), ...[...arrows.values()].map(({ arrow }) => arrow)], collapsed };
}

function dependencies(model: ChartModel, nodes: readonly ChartNode[]): readonly Arrow[] {
  return nodes.flatMap((node) =>
    node.waitsFor
      .filter((id) => model.nodes.has(id))
      .map((id) => ({
        id: `${id}⇢${node.id}`,
        source: id,
        target: node.id,
        back: false,
        edges: [],
        lifted: false,
        dependency: true,
      })),
  );
}
