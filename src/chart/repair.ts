/**
 * Makes a definition that XState accepts out of whatever a foreign program has sent: parts that were cut off, targets that lead
 * nowhere, states without an initial one. What had to be changed is noted beside it, and never thrown: a chart with a broken
 * state is more use than none. Sound definitions come out as they went in, but for what is not drawn.
 */
export type Json = Readonly<Record<string, unknown>>;

/** Where notes are kept: XState keeps unknown keys of states and transitions. */
export const PROBLEMS = "chart:problems";

const TYPES = new Set(["atomic", "compound", "parallel", "final", "history"]);
const MAX_DEPTH = 100;
/** As a name of a state or an event it would change what the objects are made of. */
const FORBIDDEN = "__proto__";

interface Place {
  readonly ids: Set<string>;
  readonly machineId: string;
}

/** What targets are looked up in. */
interface Skeleton {
  readonly key: string;
  readonly parent?: Skeleton;
  readonly states: Map<string, Skeleton>;
  /** Of the whole machine. */
  readonly byId: Map<string, Skeleton>;
}

export function isRecord(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function listOf(value: unknown): readonly unknown[] {
  if (value === undefined || value === null) return [];
  return Array.isArray(value) ? value : [value];
}

/** A configuration that `createMachine` takes without throwing. */
export function repair(definition: unknown): Json {
  const given = isRecord(definition) ? definition : {};
  const machineId = typeof given["id"] === "string" && given["id"] !== "" ? given["id"] : "(machine)";
  const config = repairState(given, [], { ids: new Set(), machineId }, 0);
  if (!isRecord(definition)) note(config, `expected a machine's definition, got ${brief(definition)}`);
  repairTargets(config, skeletonOf(config, machineId, [], new Map()));
  return config;
}

type Mutable = Record<string, unknown>;

function note(holder: Mutable, problem: string): void {
  holder[PROBLEMS] = [...((holder[PROBLEMS] as string[] | undefined) ?? []), problem];
}

export function brief(value: unknown): string {
  if (typeof value === "function") return "a function";
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}

function repairState(given: unknown, path: readonly string[], place: Place, depth: number): Mutable {
  const config: Mutable = {};
  if (!isRecord(given)) {
    Object.assign(config, { on: {}, after: {}, invoke: [] });
    if (given !== undefined && given !== null) note(config, `the sender left this state out: ${brief(given)}`);
    return config;
  }
  const usual = [place.machineId, ...path].join(".");
  const id = typeof given["id"] === "string" && given["id"] !== "" ? given["id"] : usual;
  if (place.ids.has(id)) note(config, `another state has the id ${brief(id)}, too`);
  else if (id !== usual || path.length === 0) config["id"] = id;
  place.ids.add(config["id"] === undefined ? usual : id);

  for (const name of ["entry", "exit", "tags", "description", "meta", "key", "target"]) {
    if (given[name] !== undefined && given[name] !== null) config[name] = given[name];
  }
  if (typeof config["description"] !== "string") delete config["description"];
  const invokes = listOf(given["invoke"]);
  config["invoke"] = invokes.filter(isRecord).map((invoke) => ({ ...invoke, ...repairInvoke(invoke) }));
  if (invokes.some((invoke) => !isRecord(invoke))) note(config, "the sender left out what it invokes");

  repairStates(given, config, path, place, depth);
  repairTransitions(given, config);
  return config;
}

function repairInvoke(invoke: Json): Json {
  const { src } = invoke;
  const name = typeof src === "string" ? src : isRecord(src) && typeof src["type"] === "string" ? src["type"] : undefined;
  return { src: name, id: typeof invoke["id"] === "string" ? invoke["id"] : undefined, ...transitionsIn(invoke) };
}

const INVOKE_EVENTS = ["onDone", "onError", "onSnapshot"] as const;

function transitionsIn(invoke: Json): Json {
  return Object.fromEntries(
    INVOKE_EVENTS.map((name) => [name, invoke[name] === undefined ? undefined : repairList(invoke[name])]),
  );
}

function repairStates(given: Json, config: Mutable, path: readonly string[], place: Place, depth: number): void {
  const { states, type, history } = given;
  if (states !== undefined && states !== null && !isRecord(states)) {
    note(config, `the sender left out the states in here: ${brief(states)}`);
  }
  const all = isRecord(states) && depth < MAX_DEPTH ? Object.keys(states) : [];
  const keys = all.filter((key) => key !== FORBIDDEN);
  if (keys.length < all.length) note(config, `XState takes no state of the name ${FORBIDDEN}`);
  if (depth >= MAX_DEPTH && isRecord(states)) note(config, `states nested deeper than ${MAX_DEPTH} are not drawn`);
  if (typeof type === "string" && TYPES.has(type)) config["type"] = type;
  else if (type !== undefined && type !== null) note(config, `unknown type ${brief(type)}`);
  if (history === true || history === "shallow" || history === "deep") config["history"] = history;

  const kind = config["type"];
  if (keys.length === 0 && (kind === "compound" || kind === "parallel")) delete config["type"];
  if (keys.length > 0 && kind !== undefined && kind !== "compound" && kind !== "parallel") {
    delete config["type"];
    note(config, `of type ${brief(kind)}, though it has states`);
  }
  if (keys.length === 0) return;

  config["states"] = Object.fromEntries(
    keys.map((key) => [key, repairState((states as Json)[key], [...path, key], place, depth + 1)]),
  );
  if (config["type"] === "parallel") return;
  delete config["history"];
  config["initial"] = repairInitial(given["initial"], keys, states as Json);
  if (config["initial"] === undefined) {
    config["initial"] = keys[0];
    const what =
      given["initial"] === undefined ? "no initial state is given" : `there is no initial state ${brief(given["initial"])}`;
    note(config, what);
  }
  // XState takes an empty name for none.
  if (config["initial"] === "") config["initial"] = { target: "" };
}

/** Machine definitions (not configurations) have objects with lists of ids here. */
function repairInitial(initial: unknown, keys: readonly string[], states: Json): unknown {
  const target = isRecord(initial) ? listOf(initial["target"])[0] : initial;
  if (typeof target !== "string") return undefined;
  const key = keys.find((name) => {
    const state = states[name];
    return name === target || (isRecord(state) && `#${String(state["id"])}` === target) || target.endsWith(`.${name}`);
  });
  if (key === undefined) return undefined;
  return isRecord(initial) ? { actions: listOf(initial["actions"]), target: key } : key;
}

function repairTransitions(given: Json, config: Mutable): void {
  const always: unknown[] = [...listOf(given["always"])];
  const on: Mutable = {};
  for (const [name, transitions] of entriesOf(given, "on", config)) {
    if (name === "") always.push(...listOf(transitions));
    else on[name] = repairList(transitions);
  }
  const after: Mutable = {};
  for (const [delay, transitions] of entriesOf(given, "after", config)) after[delay] = repairList(transitions);
  config["on"] = on;
  config["after"] = after;
  if (always.length > 0) config["always"] = repairList(always);
  if (given["onDone"] !== undefined && given["onDone"] !== null) config["onDone"] = repairList(given["onDone"]);
}

function entriesOf(given: Json, name: string, config: Mutable): readonly [string, unknown][] {
  const value = given[name];
  if (value === undefined || value === null) return [];
  if (isRecord(value)) return Object.entries(value).filter(([key]) => key !== FORBIDDEN);
  note(config, `the sender left out the transitions in '${name}': ${brief(value)}`);
  return [];
}

/** An empty list, like nothing at all, forbids the event. */
function repairList(transitions: unknown): Mutable[] {
  const list = listOf(transitions);
  return (list.length === 0 ? [{}] : list).map(repairTransition);
}

function repairTransition(given: unknown): Mutable {
  if (given === undefined || given === null) return {};
  if (typeof given === "string" && !/^\[(Object|Array|Circular|\.\.\.)\]$/.test(given)) return { target: [given] };
  if (!isRecord(given)) {
    const transition: Mutable = {};
    note(transition, `the sender left this transition out: ${brief(given)}`);
    return transition;
  }
  const { target, guard, actions, reenter, description } = given;
  return {
    ...(target === undefined || target === null ? {} : { target: listOf(target) }),
    ...(guard === undefined || guard === null ? {} : { guard }),
    actions: listOf(actions),
    reenter: reenter === true,
    ...(typeof description === "string" ? { description } : {}),
  };
}

function skeletonOf(
  config: Json,
  machineId: string,
  path: readonly string[],
  byId: Map<string, Skeleton>,
  parent?: Skeleton,
): Skeleton {
  const key = path.at(-1) ?? machineId;
  const node: Skeleton = { key, states: new Map(), byId, ...(parent === undefined ? {} : { parent }) };
  byId.set(typeof config["id"] === "string" ? config["id"] : [machineId, ...path].join("."), node);
  const { states } = config;
  if (isRecord(states)) {
    for (const [name, state] of Object.entries(states)) {
      node.states.set(name, skeletonOf(state as Json, machineId, [...path, name], byId, node));
    }
  }
  return node;
}

function repairTargets(config: Mutable, node: Skeleton): void {
  const lists = [
    ...Object.values(config["on"] as Json),
    ...Object.values(config["after"] as Json),
    config["always"],
    config["onDone"],
    ...(config["invoke"] as readonly Json[]).flatMap((invoke) => INVOKE_EVENTS.map((name) => invoke[name])),
  ];
  for (const transition of lists.flatMap((list) => listOf(list) as readonly Mutable[])) keepTargets(transition, node);
  // Of a history state; looked up by XState only when it is entered.
  if (config["target"] !== undefined) {
    config["target"] = listOf(config["target"]);
    keepTargets(config, node);
  }
  if (!isRecord(config["states"])) return;
  for (const [key, state] of Object.entries(config["states"])) {
    const child = node.states.get(key);
    if (child !== undefined) repairTargets(state as Mutable, child);
  }
}

function keepTargets(holder: Mutable, node: Skeleton): void {
  if (holder["target"] === undefined) return;
  const kept: string[] = [];
  for (const target of listOf(holder["target"])) {
    if (typeof target === "string" && resolves(node, target)) kept.push(target);
    else note(holder, `there is no state ${brief(target)}`);
  }
  if (kept.length > 0) holder["target"] = kept;
  else delete holder["target"];
}

/** The rules of XState's `resolveTarget`. */
function resolves(node: Skeleton, target: string): boolean {
  if (target.startsWith("#")) return resolvesId(node, target);
  const internal = target.startsWith(".");
  if (node.parent === undefined) return internal && walks(node, pathOf(target.slice(1)));
  return walks(node.parent, pathOf(internal ? node.key + target : target));
}

function resolvesId({ byId }: Skeleton, target: string): boolean {
  const [id = "", ...path] = pathOf(target.slice(1));
  const node = byId.get(id);
  return node !== undefined && walks(node, path);
}

/** Split at dots that no backslash stands before: XState's `toStatePath`. */
function pathOf(text: string): string[] {
  const path: string[] = [];
  let part = "";
  for (let i = 0; i < text.length; i++) {
    if (text[i] === ".") {
      path.push(part);
      part = "";
    } else part += text[i] === "\\" ? String(text[++i]) : text[i];
  }
  return [...path, part];
}

function walks(from: Skeleton, path: readonly string[]): boolean {
  let node: Skeleton | undefined = from;
  for (const key of path) {
    // XState stops at an empty part, wherever it stands.
    if (key === "") return true;
    node = node.states.get(key);
    if (node === undefined) return false;
  }
  return true;
}
