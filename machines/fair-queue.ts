/**
 * An immutable start-time fair queue: flows take turns by weight, the items of one flow go in its own order. It knows nothing
 * of what is queued or of who serves it, so it serves groups (flows share the slots of a limit) and dispatch (groups share the
 * slots of workers) alike.
 *
 * P. Goyal, H. Vin, H. Cheng, "Start-time Fair Queueing", SIGCOMM 1996. A flow that waits has a start tag; the lowest goes
 * first and moves on by 1/weight; virtual time is the start tag of what was served last, and nobody joins below it. So, with
 * equal weights, between two starts of one waiting flow no other flow starts more than once. Where this differs:
 * - Tags belong to flows, not to items: taking an item out of the middle costs its flow no turn.
 * - Equal tags go in the order in which they were given, never by name: clients choose names.
 * - A flow that could not be served falls behind virtual time; when it is served at last it is charged from virtual time. So
 *   it neither holds the clock back nor has saved up turns.
 * - A flow that drains is remembered until virtual time has passed its tag, lest it return before its turn.
 */
import { createOrderedSet, type Compare, type OrderedSet } from "./ordered-set.ts";

export interface FairQueueOptions<T> {
  /** The order within a flow; items that compare as equal are the same item. */
  readonly compare: Compare<T>;
  readonly flow: (item: T) => string;
}

/** What a queue knows beyond its items, as plain JSON. */
export interface Turns {
  /** Flow, how far its tag is ahead of virtual time, and its weight where that is not 1; in the order of their turns. */
  readonly flows: readonly (readonly [flow: string, ahead: number, weight?: number])[];
  /** How far ahead of virtual time newcomers join, where that is not 0. */
  readonly floor?: number;
}

interface Flow<T> {
  readonly name: string;
  /** The start tag of its first item; where it has none, the tag with which it would return. */
  readonly tag: number;
  /** Which of the flows with equal tags goes first. */
  readonly turn: number;
  /** 1 / weight. */
  readonly cost: number;
  readonly items: OrderedSet<T>;
}

/** More flows than one. A queue with one flow does without: its virtual time is 0, its flow's tag relative to that. */
interface Flows<T> {
  readonly size: number;
  readonly virtualTime: number;
  /** At least the tags of the drained flows that were forgotten before virtual time had passed them. */
  readonly floor: number;
  readonly nextTurn: number;
  readonly byName: OrderedSet<Flow<T>>;
  /** The flows that have items. */
  readonly waiting: OrderedSet<Flow<T>>;
  /** The others, remembered since their tags are ahead of virtual time. */
  readonly drained: OrderedSet<Flow<T>>;
}

/** What all queues of one kind share. */
interface Kind<T> {
  readonly options: FairQueueOptions<T>;
  readonly noItems: OrderedSet<T>;
  readonly noFlows: Flows<T>;
  readonly empty: FairQueue<T>;
}

/**
 * How many drained flows are remembered beyond as many as wait. More of them raise the floor, so that an endless row of new
 * flows with one item each can neither fill the memory nor go before a waiting flow for ever.
 */
const REMEMBERED = 64;

/** The empty queue of a new kind. Keep it: it is the one from which all others of the kind are made. */
export function createFairQueue<T>(options: FairQueueOptions<T>): FairQueue<T> {
  const inTurn = createOrderedSet<Flow<T>>(byTurn);
  const noFlows = {
    size: 0,
    virtualTime: 0,
    floor: 0,
    nextTurn: 0,
    byName: createOrderedSet<Flow<T>>(byName),
    waiting: inTurn,
    drained: inTurn,
  };
  const kind = { options, noItems: createOrderedSet(options.compare), noFlows } as { -readonly [K in keyof Kind<T>]: Kind<T>[K] };
  kind.empty = new FairQueue<T>(kind, undefined, undefined);
  return kind.empty;
}

export class FairQueue<T> {
  readonly #kind: Kind<T>;
  /** The one flow, while there is only one to know of … */
  readonly #only: Flow<T> | undefined;
  /** … or else all of them. */
  readonly #flows: Flows<T> | undefined;

  /** Use `createFairQueue`. */
  constructor(kind: Kind<T>, only: Flow<T> | undefined, flows: Flows<T> | undefined) {
    this.#kind = kind;
    this.#only = only;
    this.#flows = flows;
  }

  /** How many items wait. */
  get size(): number {
    return this.#flows ? this.#flows.size : this.#only ? this.#only.items.size : 0;
  }

  /** How many flows have items waiting. */
  get flowCount(): number {
    return this.#flows ? this.#flows.waiting.size : this.#only && this.#only.items.size > 0 ? 1 : 0;
  }

  has(item: T): boolean {
    return this.#flowOf(item)?.items.has(item) ?? false;
  }

  /** The item that is next in turn. */
  peek(): T | undefined {
    return (this.#flows ? this.#flows.waiting.first() : this.#only)?.items.first();
  }

  /** The first items of all flows, in the order of the flows' turns. */
  *heads(): IterableIterator<T> {
    for (const flow of this.#flows ? this.#flows.waiting : this.#only ? [this.#only] : []) {
      const head = flow.items.first();
      if (head !== undefined) yield head;
    }
  }

  /** With `item` waiting. `weight`, more than 0, is its flow's from now on: its share of the turns. */
  add(item: T, weight = 1): FairQueue<T> {
    const name = this.#kind.options.flow(item);
    const cost = weight === 1 ? 1 : costOf(weight);
    const only = this.#only;
    if (!this.#flows) {
      if (!only) return this.#single({ name, tag: 0, turn: 0, cost, items: this.#kind.noItems.add(item) });
      if (only.name === name) return this.#single({ name, tag: only.tag, turn: 0, cost, items: only.items.add(item) });
    }
    return this.#settled(join(this.#expanded(), name, cost, item, this.#kind.noItems));
  }

  /** Without `item`, which was not served: its flow keeps its turn. */
  remove(item: T): FairQueue<T> {
    const flow = this.#flowOf(item);
    const items = flow?.items.delete(item);
    if (!flow || !items || items === flow.items) return this;
    if (this.#flows) return this.#settled(leave(this.#flows, flow, items));
    return this.#single({ name: flow.name, tag: flow.tag, turn: 0, cost: flow.cost, items });
  }

  /** Without `item`, which is served: this is its flow's turn, whether or not it was next. */
  take(item: T): FairQueue<T> {
    const flow = this.#flowOf(item);
    const items = flow?.items.delete(item);
    if (!flow || !items || items === flow.items) return this;
    if (this.#flows) return this.#settled(serve(this.#flows, flow, items));
    return this.#single({ name: flow.name, tag: flow.cost, turn: 0, cost: flow.cost, items });
  }

  /** Takes the first item of the first flow, in the order of turns, whose first item can be served. Looks at no other items. */
  takeFirst(canServe: (item: T) => boolean): { readonly item: T; readonly queue: FairQueue<T> } | undefined {
    for (const item of this.heads()) if (canServe(item)) return { item, queue: this.take(item) };
    return undefined;
  }

  /** Counts a turn of this flow for something that was served without waiting here. */
  charge(name: string, weight = 1): FairQueue<T> {
    const only = this.#only;
    if (!this.#flows && (!only || only.name === name || only.items.size === 0)) {
      const cost = weight === 1 ? 1 : costOf(weight);
      return this.#single({ name, tag: cost, turn: 0, cost, items: only?.name === name ? only.items : this.#kind.noItems });
    }
    const flows = this.#expanded();
    const flow = flows.byName.get(named(name)) ?? { name, ...joining(flows), items: this.#kind.noItems };
    return this.#settled(serve(flows, { ...flow, cost: costOf(weight) }, flow.items));
  }

  /** Forgets past turns if nothing waits. For when whoever serves this queue has become idle. */
  rest(): FairQueue<T> {
    return this.size === 0 ? this.#kind.empty : this;
  }

  /** How many items will be taken before this one, if all can be served and nothing comes or goes; -1 if it is not here. */
  rank(item: T): number {
    const flow = this.#flowOf(item);
    if (!flow?.items.has(item)) return -1;
    const index = flow.items.rank(item);
    if (!this.#flows) return index;
    let before = index;
    for (const other of this.#flows.waiting) {
      if (other.name !== flow.name) before += startsBefore(other, flow, index, this.#flows.virtualTime);
    }
    return before;
  }

  /** The items in the order in which they will be taken, if all can be served and nothing comes or goes. */
  *[Symbol.iterator](): IterableIterator<T> {
    if (!this.#flows) {
      if (this.#only) yield* this.#only.items;
      return;
    }
    let rest = this.#settled(this.#flows);
    for (let item = rest.peek(); item !== undefined; item = rest.peek()) {
      yield item;
      rest = rest.take(item);
    }
  }

  /** What to keep, beside the items, so that `restore` gives an equal queue; undefined where the items say it all. */
  turns(): Turns | undefined {
    const flows = this.#flows;
    if (!flows) {
      const only = this.#only;
      return only && (only.tag > 0 || only.cost !== 1) ? { flows: [turnOf(only, 0)] } : undefined;
    }
    const all = [...flows.waiting, ...flows.drained].sort(byTurn).map((flow) => turnOf(flow, flows.virtualTime));
    return flows.floor > flows.virtualTime ? { flows: all, floor: flows.floor - flows.virtualTime } : { flows: all };
  }

  /** A queue of this kind with these items and turns, whatever this one holds. */
  restore(items: Iterable<T>, turns?: Turns): FairQueue<T> {
    const { empty, noItems, noFlows, options } = this.#kind;
    const itemsOf = new Map<string, T[]>();
    for (const item of items) {
      const name = options.flow(item);
      const list = itemsOf.get(name);
      if (list) list.push(item);
      else itemsOf.set(name, [item]);
    }
    const known = turns?.flows ?? [];
    for (const [name] of known) if (!itemsOf.has(name)) itemsOf.set(name, []);
    const floor = turns?.floor ?? 0;
    const turnsOf = new Map(known.map(([name, tag, weight = 1], turn) => [name, { tag, turn, cost: costOf(weight) }]));
    let nextTurn = known.length;
    const flows = [...itemsOf].map(([name, list]): Flow<T> => {
      const its = turnsOf.get(name) ?? { tag: floor, turn: nextTurn++, cost: 1 };
      return { name, tag: its.tag, turn: its.turn, cost: its.cost, items: noItems.from(list) };
    });
    const waiting = flows.filter((flow) => flow.items.size > 0);
    return empty.#settled({
      size: waiting.reduce((sum, flow) => sum + flow.items.size, 0),
      virtualTime: 0,
      floor,
      nextTurn,
      byName: noFlows.byName.from(flows),
      waiting: noFlows.waiting.from(waiting),
      drained: noFlows.drained.from(flows.filter((flow) => flow.items.size === 0)),
    });
  }

  /** For whoever prints a context: the items, in order. */
  toJSON(): T[] {
    return [...this];
  }

  #flowOf(item: T): Flow<T> | undefined {
    if (this.#flows) return this.#flows.byName.get(named(this.#kind.options.flow(item)));
    return this.#only?.name === this.#kind.options.flow(item) ? this.#only : undefined;
  }

  #single(only: Flow<T>): FairQueue<T> {
    if (only.tag === 0 && only.items.size === 0) return this.#kind.empty;
    return new FairQueue(this.#kind, only, undefined);
  }

  #expanded(): Flows<T> {
    if (this.#flows) return this.#flows;
    const none = this.#kind.noFlows;
    const only = this.#only;
    if (!only) return none;
    const byName = none.byName.add(only);
    if (only.items.size === 0) return { ...none, nextTurn: 1, byName, drained: none.drained.add(only) };
    return { ...none, nextTurn: 1, size: only.items.size, byName, waiting: none.waiting.add(only) };
  }

  /** Forgets what need not be remembered, and goes back to a single flow where one is left. */
  #settled(flows: Flows<T>): FairQueue<T> {
    const { waiting, virtualTime } = flows;
    if (waiting.size === 0) {
      // Nobody waits, so nobody can be overtaken: one flow is remembered, lest whoever started last starts again first.
      const last = flows.drained.last();
      return last ? this.#single({ ...last, turn: 0, tag: Math.max(0, last.tag - virtualTime) }) : this.#kind.empty;
    }
    let { byName, drained, floor } = flows;
    for (let oldest = drained.first(); oldest; oldest = drained.first()) {
      if (oldest.tag > virtualTime && drained.size <= waiting.size + REMEMBERED) break;
      drained = drained.delete(oldest);
      byName = byName.delete(oldest);
      floor = Math.max(floor, oldest.tag);
    }
    const only = byName.size === 1 && floor <= virtualTime ? waiting.first() : undefined;
    if (only) return this.#single({ ...only, turn: 0, tag: Math.max(0, only.tag - virtualTime) });
    return new FairQueue(this.#kind, undefined, { ...flows, byName, drained, floor });
  }
}

/** One more item of this flow waits. */
function join<T>(flows: Flows<T>, name: string, cost: number, item: T, noItems: OrderedSet<T>): Flows<T> {
  const known = flows.byName.get(named(name));
  if (known && known.items.size > 0) {
    const items = known.items.add(item);
    const flow: Flow<T> = { name, tag: known.tag, turn: known.turn, cost, items };
    const size = flows.size + items.size - known.items.size;
    return { ...flows, size, byName: flows.byName.add(flow), waiting: flows.waiting.add(flow) };
  }
  const { tag, turn } = joining(flows);
  const flow: Flow<T> = { name, tag: known ? Math.max(known.tag, tag) : tag, turn, cost, items: noItems.add(item) };
  return {
    ...flows,
    size: flows.size + 1,
    nextTurn: turn + 1,
    byName: flows.byName.add(flow),
    waiting: flows.waiting.add(flow),
    drained: known ? flows.drained.delete(known) : flows.drained,
  };
}

/** `flow` is served, and `items` are what it has left. */
function serve<T>(flows: Flows<T>, flow: Flow<T>, items: OrderedSet<T>): Flows<T> {
  const start = Math.max(flow.tag, flows.virtualTime);
  const next: Flow<T> = { name: flow.name, tag: start + flow.cost, turn: flows.nextTurn, cost: flow.cost, items };
  const waiting = flows.waiting.delete(flow);
  const drained = flow.items.size > 0 ? flows.drained : flows.drained.delete(flow);
  return {
    ...flows,
    size: flows.size + items.size - flow.items.size,
    virtualTime: start,
    nextTurn: flows.nextTurn + 1,
    byName: flows.byName.add(next),
    waiting: items.size > 0 ? waiting.add(next) : waiting,
    drained: items.size > 0 ? drained : drained.add(next),
  };
}

/** `items` are what `flow` has left, and it was not served. */
function leave<T>(flows: Flows<T>, flow: Flow<T>, items: OrderedSet<T>): Flows<T> {
  const next: Flow<T> = { name: flow.name, tag: flow.tag, turn: flow.turn, cost: flow.cost, items };
  const size = flows.size - 1;
  const byName = flows.byName.add(next);
  if (items.size > 0) return { ...flows, size, byName, waiting: flows.waiting.add(next) };
  return { ...flows, size, byName, waiting: flows.waiting.delete(flow), drained: flows.drained.add(next) };
}

/** The turn of a flow that nothing is remembered of. */
function joining<T>(flows: Flows<T>): { tag: number; turn: number } {
  return { tag: Math.max(flows.virtualTime, flows.floor), turn: flows.nextTurn };
}

/**
 * How many items of `other` are served before the item of `flow` at `index`. In closed form: the i-th item of a flow starts at
 * its first tag + i * cost. Where two start at the same tag, the flow that got that tag first goes first: one that waits at it
 * already, else the one that was served before the other.
 */
function startsBefore<T>(other: Flow<T>, flow: Flow<T>, index: number, virtualTime: number): number {
  const first = Math.max(other.tag, virtualTime);
  const start = Math.max(flow.tag, virtualTime) + index * flow.cost;
  const count = other.items.size;
  let before = Math.min(count, Math.max(0, Math.ceil((start - first) / other.cost)));
  while (before > 0 && first + (before - 1) * other.cost >= start) before--;
  while (before < count && first + before * other.cost < start) before++;
  return before < count && first + before * other.cost === start && winsTie(other, before, flow, index) ? before + 1 : before;
}

function winsTie<T>(other: Flow<T>, otherIndex: number, flow: Flow<T>, index: number): boolean {
  if (otherIndex === 0 || index === 0) return otherIndex === index ? byTurn(other, flow) < 0 : otherIndex === 0;
  if (other.cost !== flow.cost) return other.cost > flow.cost;
  return otherIndex === index ? byTurn(other, flow) < 0 : otherIndex < index;
}

/** In steps of 2^-20, so that sums and multiples of tags are exact and ties are ties (up to 2^33 turns in a busy period). */
function costOf(weight: number): number {
  return Math.max(1, Math.round(2 ** 20 / weight)) / 2 ** 20;
}

function turnOf<T>(flow: Flow<T>, virtualTime: number): Turns["flows"][number] {
  const ahead = flow.tag - virtualTime;
  return flow.cost === 1 ? [flow.name, ahead] : [flow.name, ahead, 1 / flow.cost];
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

function byTurn(a: { readonly tag: number; readonly turn: number }, b: { readonly tag: number; readonly turn: number }): number {
  return a.tag - b.tag || a.turn - b.turn;
}

/** What `byName` finds a flow of this name with. */
function named<T>(name: string): Flow<T> {
  return { name } as Flow<T>;
}
