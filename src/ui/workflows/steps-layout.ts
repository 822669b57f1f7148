/**
 * Where the steps of a workflow stand in a small drawing: a column per depth (the longest way from a first step), in each
 * column ordered so that lines cross little. Pure; a definition's steps are in topological order.
 */
import type { StepSpec } from "../../workflow/spec.ts";

export interface PlacedStep {
  readonly name: string;
  readonly column: number;
  readonly row: number;
}

export interface StepsLayout {
  readonly steps: readonly PlacedStep[];
  readonly edges: readonly { readonly from: PlacedStep; readonly to: PlacedStep }[];
  readonly columns: number;
  readonly rows: number;
}

export function layoutSteps(steps: readonly Pick<StepSpec, "name" | "after">[]): StepsLayout {
  const column = new Map<string, number>();
  for (const { name, after } of steps) column.set(name, Math.max(-1, ...after.map((parent) => column.get(parent) ?? -1)) + 1);
  const columns: { readonly name: string; readonly after: readonly string[] }[][] = [];
  for (const step of steps) (columns[column.get(step.name) ?? 0] ??= []).push(step);

  const row = new Map<string, number>();
  const placed = new Map<string, PlacedStep>();
  for (const [at, members] of columns.entries()) {
    // Next to the middle of its parents; siblings without a preference stay in the order of the definition.
    const weight = ({ after }: { readonly after: readonly string[] }): number =>
      after.length === 0 ? 0 : after.reduce((sum, parent) => sum + (row.get(parent) ?? 0), 0) / after.length;
    const ordered = members.map((step, i) => ({ step, i })).sort((a, b) => weight(a.step) - weight(b.step) || a.i - b.i);
    for (const [place, { step }] of ordered.entries()) {
      row.set(step.name, place);
      placed.set(step.name, { name: step.name, column: at, row: place });
    }
  }
  const edges = steps.flatMap(({ name, after }) =>
    after.flatMap((parent) => {
      const from = placed.get(parent);
      const to = placed.get(name);
      return from === undefined || to === undefined ? [] : [{ from, to }];
    }),
  );
  return {
    steps: [...placed.values()],
    edges: withoutShortcuts(edges),
    columns: columns.length,
    rows: Math.max(1, ...columns.map((members) => members.length)),
  };
}

/** Leaves out lines that a longer way says already: `a → c` where there is `a → b → c`. */
function withoutShortcuts<T extends { readonly from: PlacedStep; readonly to: PlacedStep }>(edges: readonly T[]): readonly T[] {
  const children = new Map<string, string[]>();
  for (const { from, to } of edges) children.set(from.name, [...(children.get(from.name) ?? []), to.name]);
  const reaches = (from: string, to: string, seen: Set<string>): boolean =>
    (children.get(from) ?? []).some((child) => {
      if (child === to) return true;
      if (seen.has(child)) return false;
      seen.add(child);
      return reaches(child, to, seen);
    });
  return edges.filter(
    ({ from, to }) => !(children.get(from.name) ?? []).some((child) => child !== to.name && reaches(child, to.name, new Set())),
  );
}
