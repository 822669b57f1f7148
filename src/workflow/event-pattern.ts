/**
 * Names of events and the patterns that match them (`*` stands for one token, a final `>` for one or more, as in NATS
 * subjects), and the index by which the router finds the workflows of an event. Pure.
 */

const MAX_LENGTH = 255;

/** What an error about an event name says that it expected. */
export const EVENT_NAME_EXPECTED = `an event name such as "message.sent": tokens joined by ".", without spaces, "*" or ">", at most ${MAX_LENGTH} characters`;
/** What an error about a pattern says that it expected. */
export const EVENT_PATTERN_EXPECTED = `an event name or pattern such as "message.sent", "message.*" or "message.>": tokens joined by ".", "*" for one token, ">" only at the end, at most ${MAX_LENGTH} characters`;

const isToken = (token: string): boolean => /^[^\s\p{C}.*>]+$/u.test(token);

export function isEventName(value: unknown): value is string {
  return typeof value === "string" && value.length <= MAX_LENGTH && value.split(".").every(isToken);
}

export function isEventPattern(value: unknown): value is string {
  if (typeof value !== "string" || value.length > MAX_LENGTH) return false;
  const tokens = value.split(".");
  return tokens.every((token, index) => token === "*" || (token === ">" && index === tokens.length - 1) || isToken(token));
}

/** Values (workflows) by the patterns of events that they are added under. */
export interface EventIndex<T> {
  /** Adds a value under a pattern that `isEventPattern` accepts. Adding it again changes nothing. */
  add(pattern: string, value: T): void;
  /** Takes a value away from a pattern; nothing happens where it is not there. */
  remove(pattern: string, value: T): void;
  /** The values whose patterns match, each once, in the order in which they were first added. The list is shared: don't change it. */
  match(name: string): readonly T[];
}

interface Node<T> {
  readonly children: Map<string, Node<T>>;
  /** Values of patterns that end here. */
  readonly here: Set<T>;
  /** Values of patterns that end here with `>`. */
  readonly below: Set<T>;
}

const createNode = <T>(): Node<T> => ({ children: new Map(), here: new Set(), below: new Set() });

/**
 * An index of patterns: a trie over tokens, with the answers for the names seen last.
 * @param maxCachedNames how many names to remember. More costs memory (about the name's length and 100 bytes each), fewer costs
 *   a walk of the trie (about a microsecond, instead of 20 ns) for each event whose name is not among them. Default 4,096.
 */
export function createEventIndex<T>(maxCachedNames = 4_096): EventIndex<T> {
  const root = createNode<T>();
  // Two generations: names come from outside and may be endless (`user.<id>`). What is full becomes the older one, so that
  // names in use stay, and nothing is ever deleted one by one.
  let recent = new Map<string, readonly T[]>();
  let older = new Map<string, readonly T[]>();
  // Counted per value over all its patterns, so that a value leaves the order with its last pattern.
  const order = new Map<T, { readonly position: number; patterns: number }>();
  let nextPosition = 0;

  function find(pattern: string, create: boolean): Set<T> | undefined {
    const tokens = pattern.split(".");
    const open = tokens.at(-1) === ">";
    if (open) tokens.pop();
    let node = root;
    for (const token of tokens) {
      let child = node.children.get(token);
      if (child === undefined) {
        if (!create) return undefined;
        child = createNode<T>();
        node.children.set(token, child);
      }
      node = child;
    }
    return open ? node.below : node.here;
  }

  function collect(node: Node<T>, tokens: readonly string[], index: number, found: Set<T>): void {
    const token = tokens[index];
    if (token === undefined) {
      for (const value of node.here) found.add(value);
      return;
    }
    for (const value of node.below) found.add(value);
    const exact = node.children.get(token);
    if (exact !== undefined) collect(exact, tokens, index + 1, found);
    const any = token === "*" ? undefined : node.children.get("*");
    if (any !== undefined) collect(any, tokens, index + 1, found);
  }

  function remember(name: string, values: readonly T[]): readonly T[] {
    if (recent.size >= maxCachedNames / 2) {
      older = recent;
      recent = new Map();
    }
    recent.set(name, values);
    return values;
  }

  function forget(): void {
    recent = new Map();
    older = new Map();
  }

  return {
    add(pattern, value) {
      const values = find(pattern, true);
      if (values === undefined || values.has(value)) return;
      values.add(value);
      const entry = order.get(value);
      if (entry === undefined) order.set(value, { position: nextPosition++, patterns: 1 });
      else entry.patterns += 1;
      forget();
    },

    remove(pattern, value) {
      if (find(pattern, false)?.delete(value) !== true) return;
      const entry = order.get(value);
      if (entry !== undefined && --entry.patterns === 0) order.delete(value);
      forget();
    },

    match(name) {
      const known = recent.get(name);
      if (known !== undefined) return known;
      const before = older.get(name);
      if (before !== undefined) return remember(name, before);
      const found = new Set<T>();
      collect(root, name.split("."), 0, found);
      const position = (value: T): number => order.get(value)?.position ?? 0;
      return remember(name, found.size < 2 ? [...found] : [...found].sort((a, b) => position(a) - position(b)));
    },
  };
}
