/**
 * In which order siblings are drawn, and which transitions lead back. Layout engines break cycles somewhere; here they are broken
 * where a reader would: depth first from the initial state, an edge to a state that the walk has come through leads back.
 */

export interface Arrow {
  readonly from: string;
  readonly to: string;
}

export interface Order {
  readonly keys: readonly string[];
  /** `from to` of arrows that lead back. */
  readonly back: ReadonlySet<string>;
}

export const arrowKey = (from: string, to: string): string => `${from}\n${to}`;

/** `arrows`: between siblings, in the order of the definition. Siblings that nothing leads to come where they stand. */
export function orderSiblings(keys: readonly string[], initial: string | undefined, arrows: readonly Arrow[]): Order {
  const next = new Map<string, string[]>();
  for (const { from, to } of arrows) {
    if (from === to) continue;
    const list = next.get(from);
    if (list === undefined) next.set(from, [to]);
    else if (!list.includes(to)) list.push(to);
  }

  const ordered: string[] = [];
  const seen = new Set<string>();
  const open = new Set<string>();
  const back = new Set<string>();

  // Not recursive: a chain of thousands of states is legal.
  function walk(start: string): void {
    if (seen.has(start)) return;
    const stack: { readonly key: string; index: number }[] = [];
    const enter = (key: string): void => {
      seen.add(key);
      open.add(key);
      ordered.push(key);
      stack.push({ key, index: 0 });
    };
    enter(start);
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const to = next.get(top.key)?.[top.index++];
      if (to === undefined) {
        open.delete(top.key);
        stack.pop();
      } else if (open.has(to)) {
        back.add(arrowKey(top.key, to));
      } else if (!seen.has(to)) {
        enter(to);
      }
    }
  }

  if (initial !== undefined) walk(initial);
  for (const key of keys) walk(key);
  return { keys: ordered, back };
}
