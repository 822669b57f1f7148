/** Where the arrow keys lead in the drawing: to the nearest state in that direction; into and out of states by their frames. */
import type { Drawing, PlacedBox } from "./graph.ts";

const DIRECTIONS: Readonly<Record<string, readonly [x: number, y: number]>> = {
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
};

export function moveFocus(drawing: Drawing, from: string, key: string): PlacedBox | undefined {
  if (key === "Home") return drawing.boxes[0];
  if (key === "End") return drawing.boxes.at(-1);
  const direction = DIRECTIONS[key];
  const at = drawing.boxes.find(({ node }) => node.id === from);
  if (direction === undefined || at === undefined) return undefined;
  // From a frame, downwards or to the right leads into it.
  const first = at.node.children.map((id) => drawing.boxes.find(({ node }) => node.id === id)).find((box) => box !== undefined);
  if (first !== undefined && (key === "ArrowDown" || key === "ArrowRight")) {
    const initial = drawing.boxes.find(({ node }) => node.id === at.node.initial);
    return initial ?? first;
  }
  const [dx, dy] = direction;
  const [x, y] = middle(at);
  let best: { box: PlacedBox; cost: number } | undefined;
  for (const box of drawing.boxes) {
    if (box === at || contains(box, at) || box.node.parent === undefined) continue;
    const [bx, by] = middle(box);
    const along = (bx - x) * dx + (by - y) * dy;
    const across = Math.abs((bx - x) * dy) + Math.abs((by - y) * dx);
    if (along <= 4 || across > along * 2.5) continue;
    const cost = along + across * 2 + (box.node.parent === at.node.parent ? 0 : 120);
    if (best === undefined || cost < best.cost) best = { box, cost };
  }
  if (best !== undefined) return best.box;
  const { parent } = at.node;
  return key === "ArrowUp" || key === "ArrowLeft" ? drawing.boxes.find(({ node }) => node.id === parent) : undefined;
}

function middle(box: PlacedBox): readonly [number, number] {
  return [box.x + box.w / 2, box.y + Math.min(box.h, box.height) / 2];
}

function contains(outer: PlacedBox, inner: PlacedBox): boolean {
  return (
    outer.x <= inner.x && outer.y <= inner.y && outer.x + outer.w >= inner.x + inner.w && outer.y + outer.h >= inner.y + inner.h
  );
}
