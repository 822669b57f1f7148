/**
 * An immutable ordered set: every change gives a new set and shares all but O(log n) nodes with the old one. It knows its
 * items only through the comparator that it was created with, and keeps one item of those that compare as equal.
 *
 * A weight-balanced tree (S. Adams, "Efficient sets: a balancing act", JFP 3(4), 1993) with the parameters that Y. Hirai and
 * K. Yamamoto proved to keep it balanced under insertion and deletion ("Balancing weight-balanced trees", JFP 21(3), 2011);
 * the same algorithm and numbers as Haskell's Data.Set. The subtree sizes that balance it also answer `at` and `rank`.
 */

export type Compare<T> = (a: T, b: T) => number;

/** Four fields, so that an item costs one small object (56 bytes on 64-bit V8). */
interface Node<T> {
  readonly item: T;
  readonly left: Tree<T>;
  readonly right: Tree<T>;
  readonly size: number;
}
type Tree<T> = Node<T> | undefined;

/** What all sets of one kind share, so that a set is two words and every empty set is the same object. */
interface Kind<T> {
  readonly compare: Compare<T>;
  readonly empty: OrderedSet<T>;
}

/** The empty set of a new kind. Keep it: sets that become empty again are this very object. */
export function createOrderedSet<T>(compare: Compare<T>): OrderedSet<T> {
  const kind = { compare } as { compare: Compare<T>; empty: OrderedSet<T> };
  kind.empty = new OrderedSet<T>(kind, undefined);
  return kind.empty;
}

export class OrderedSet<T> {
  readonly #kind: Kind<T>;
  readonly #root: Tree<T>;

  /** Use `createOrderedSet`. */
  constructor(kind: Kind<T>, root: Tree<T>) {
    this.#kind = kind;
    this.#root = root;
  }

  get size(): number {
    return sizeOf(this.#root);
  }

  /** With `item`, which takes the place of an equal one. */
  add(item: T): OrderedSet<T> {
    return this.#with(insert(this.#root, item, this.#kind.compare));
  }

  /** Without the item that equals this one; the same set where there is none. */
  delete(item: T): OrderedSet<T> {
    return this.#with(remove(this.#root, item, this.#kind.compare));
  }

  has(item: T): boolean {
    return find(this.#root, item, this.#kind.compare) !== undefined;
  }

  /** The item in the set that equals this one. */
  get(item: T): T | undefined {
    return find(this.#root, item, this.#kind.compare)?.item;
  }

  first(): T | undefined {
    let node = this.#root;
    while (node?.left) node = node.left;
    return node?.item;
  }

  last(): T | undefined {
    let node = this.#root;
    while (node?.right) node = node.right;
    return node?.item;
  }

  /** The first item that is equal to this one or comes after it. */
  firstFrom(item: T): T | undefined {
    const { compare } = this.#kind;
    let found: T | undefined;
    let node = this.#root;
    while (node) {
      const c = compare(item, node.item);
      if (c === 0) return node.item;
      if (c < 0) {
        found = node.item;
        node = node.left;
      } else node = node.right;
    }
    return found;
  }

  /** The item with `index` items before it. */
  at(index: number): T | undefined {
    let before = index;
    let node = this.#root;
    while (node) {
      const left = sizeOf(node.left);
      if (before === left) return node.item;
      if (before < left) node = node.left;
      else {
        before -= left + 1;
        node = node.right;
      }
    }
    return undefined;
  }

  /** How many items come before this one, which need not be in the set. */
  rank(item: T): number {
    const { compare } = this.#kind;
    let before = 0;
    let node = this.#root;
    while (node) {
      const c = compare(item, node.item);
      if (c === 0) return before + sizeOf(node.left);
      if (c < 0) node = node.left;
      else {
        before += sizeOf(node.left) + 1;
        node = node.right;
      }
    }
    return before;
  }

  /** A set of this kind with these items, whatever this one holds; O(n) where they come in order. */
  from(items: Iterable<T>): OrderedSet<T> {
    const { compare, empty } = this.#kind;
    const list = [...items];
    if (isAscending(list, compare)) return empty.#with(build(list, 0, list.length));
    return list.reduce<OrderedSet<T>>((set, item) => set.add(item), empty);
  }

  *[Symbol.iterator](): IterableIterator<T> {
    const above: Node<T>[] = [];
    let node = this.#root;
    while (node || above.length > 0) {
      while (node) {
        above.push(node);
        node = node.left;
      }
      const next: Node<T> = above.pop()!;
      yield next.item;
      node = next.right;
    }
  }

  /** For whoever prints a context: the items, not the tree. */
  toJSON(): T[] {
    return [...this];
  }

  #with(root: Tree<T>): OrderedSet<T> {
    if (root === this.#root) return this;
    return root ? new OrderedSet(this.#kind, root) : this.#kind.empty;
  }
}

/** A subtree may weigh up to DELTA times its sibling; RATIO decides between a single and a double rotation. */
const DELTA = 3;
const RATIO = 2;

function sizeOf<T>(tree: Tree<T>): number {
  return tree ? tree.size : 0;
}

function nodeOf<T>(item: T, left: Tree<T>, right: Tree<T>): Node<T> {
  return { item, left, right, size: sizeOf(left) + sizeOf(right) + 1 };
}

function find<T>(tree: Tree<T>, item: T, compare: Compare<T>): Tree<T> {
  let node = tree;
  while (node) {
    const c = compare(item, node.item);
    if (c === 0) return node;
    node = c < 0 ? node.left : node.right;
  }
  return undefined;
}

function insert<T>(tree: Tree<T>, item: T, compare: Compare<T>): Node<T> {
  if (!tree) return { item, left: undefined, right: undefined, size: 1 };
  const c = compare(item, tree.item);
  if (c === 0) return tree.item === item ? tree : { item, left: tree.left, right: tree.right, size: tree.size };
  if (c < 0) {
    const left = insert(tree.left, item, compare);
    return left === tree.left ? tree : balance(tree.item, left, tree.right);
  }
  const right = insert(tree.right, item, compare);
  return right === tree.right ? tree : balance(tree.item, tree.left, right);
}

function remove<T>(tree: Tree<T>, item: T, compare: Compare<T>): Tree<T> {
  if (!tree) return undefined;
  const c = compare(item, tree.item);
  if (c === 0) return glue(tree.left, tree.right);
  if (c < 0) {
    const left = remove(tree.left, item, compare);
    return left === tree.left ? tree : balance(tree.item, left, tree.right);
  }
  const right = remove(tree.right, item, compare);
  return right === tree.right ? tree : balance(tree.item, tree.left, right);
}

/** One tree of two between which an item has gone. Takes the new root from the heavier side, so no rotation follows. */
function glue<T>(left: Tree<T>, right: Tree<T>): Tree<T> {
  if (!left) return right;
  if (!right) return left;
  if (left.size > right.size) {
    let last: Node<T> = left;
    while (last.right) last = last.right;
    return balance(last.item, withoutLast(left), right);
  }
  let first: Node<T> = right;
  while (first.left) first = first.left;
  return balance(first.item, left, withoutFirst(right));
}

function withoutFirst<T>(tree: Node<T>): Tree<T> {
  return tree.left ? balance(tree.item, withoutFirst(tree.left), tree.right) : tree.right;
}

function withoutLast<T>(tree: Node<T>): Tree<T> {
  return tree.right ? balance(tree.item, tree.left, withoutLast(tree.right)) : tree.left;
}

/** A balanced tree of two that were balanced before one item came or went. */
function balance<T>(item: T, left: Tree<T>, right: Tree<T>): Node<T> {
  const l = sizeOf(left);
  const r = sizeOf(right);
  if (l + r <= 1) return { item, left, right, size: l + r + 1 };
  if (right && r > DELTA * l) {
    const { left: inner, right: outer } = right;
    if (!inner || inner.size < RATIO * sizeOf(outer)) return nodeOf(right.item, nodeOf(item, left, inner), outer);
    return nodeOf(inner.item, nodeOf(item, left, inner.left), nodeOf(right.item, inner.right, outer));
  }
  if (left && l > DELTA * r) {
    const { left: outer, right: inner } = left;
    if (!inner || inner.size < RATIO * sizeOf(outer)) return nodeOf(left.item, outer, nodeOf(item, inner, right));
    return nodeOf(inner.item, nodeOf(left.item, outer, inner.left), nodeOf(item, inner.right, right));
  }
  return { item, left, right, size: l + r + 1 };
}

function build<T>(sorted: readonly T[], from: number, to: number): Tree<T> {
  if (from >= to) return undefined;
  const middle = (from + to) >> 1;
  return nodeOf(sorted[middle]!, build(sorted, from, middle), build(sorted, middle + 1, to));
}

function isAscending<T>(items: readonly T[], compare: Compare<T>): boolean {
  for (let i = 1; i < items.length; i++) if (compare(items[i - 1]!, items[i]!) >= 0) return false;
  return true;
}
