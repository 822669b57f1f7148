/**
 * Two nodes, one partition, the server and a worker, as a world whose every next step can be listed. The nodes run the machines and the
 * changes of the map that engine nodes run. Around them, in the words of the architecture: a map under compare-and-set, sessions, a journal under
 * the fence, and a worker that refuses what comes from an older epoch.
 *
 * Between any two steps of a node anything else may happen, for as long as it likes: that is a pause. A message that was sent arrives
 * at any later time or never, and in any order. A session may be ended at any time, whether its node lives or not.
 */
import { nodeLife } from "../../machines/cluster/node-life.ts";
import { type OwnershipContext, type OwnershipMode, partitionOwnership } from "../../machines/cluster/partition-ownership.ts";
import { type ClusterMap, EMPTY_MAP, epochOf, ownerOf } from "../../src/engine/cluster/cluster-map.ts";
import { fulfil, type Standing, type Wishes, wishesOf } from "../../src/engine/cluster/wishes.ts";
import { createStepper, type MachineSnapshot, type Step } from "../../src/step/stepper.ts";

/** What may go wrong on one way, and how often. */
export interface Budget {
  /** A node that lives is taken for dead. */
  readonly ends: number;
  /** No answer in time: the message may have arrived, arrive late, or be lost. */
  readonly timeouts: number;
  readonly crashes: number;
  readonly stops: number;
  /** The owner is to hand over, though it stays. */
  readonly handovers: number;
}

/** What a world is without, to see that it is needed. */
export interface Rules {
  readonly fence: boolean;
  readonly claimFact: boolean;
  /** What a new owner asks after it has read the journal's end: whether the map still names it, or that nobody newer has written. */
  readonly claimCheck: "map" | "journal" | "none";
  readonly workerEpochs: boolean;
  readonly compareAndSet: boolean;
  readonly fulfil: (wishes: Wishes, map: ClusterMap) => ClusterMap;
}

export const RULES: Rules = { fence: true, claimFact: true, claimCheck: "map", workerEpochs: true, compareAndSet: true, fulfil };

/** What a node has of the partition. */
interface Host {
  readonly owner: string;
  readonly epoch: number;
  /** The how-manieth ownership of all. */
  readonly ord: number;
  readonly phase: "opening" | "opened" | "claiming" | "running" | "appending" | "committed";
  /** The journal's length that its next append expects. */
  readonly end: number;
  /** What it has in memory: the journal up to there. */
  readonly knows: number;
  readonly facts: number;
  readonly reply?: "committed" | "fenced";
}

interface TestNode {
  readonly life: MachineSnapshot;
  readonly role: MachineSnapshot;
  readonly id: string;
  /** Its session is open. */
  readonly isOpen: boolean;
  readonly known: ClusterMap;
  readonly knownRevision: number;
  readonly write: "none" | "sent" | "done" | "refused";
  readonly dead: readonly string[];
  readonly host?: Host;
  /** What was dropped under way, and has to come to its end. */
  readonly unsettled?: "take.failed" | "giveBack.done";
}

type Message =
  | { readonly to: "map"; readonly from: number; readonly awaited: boolean; readonly revision: number; readonly map: ClusterMap }
  | { readonly to: "journal"; readonly from: number; readonly ord: number; readonly end: number; readonly claim: boolean }
  | { readonly to: "worker"; readonly from: number; readonly ord: number; readonly epoch: number };

export interface World {
  readonly nodes: readonly TestNode[];
  readonly map: ClusterMap;
  readonly revision: number;
  /** Ids whose session was ended. */
  readonly ended: readonly string[];
  /** Who has owned the partition so far: `id epoch`, in the order in which the map said so. */
  readonly ownerships: readonly string[];
  /** By whom each message of the journal is: the place in `ownerships`. */
  readonly journal: readonly number[];
  readonly worker: { readonly epoch: number; readonly ord: number };
  readonly net: readonly Message[];
  readonly left: Budget;
}

export interface Next {
  readonly label: string;
  /** Throws a violation where the step itself is one. */
  readonly step: () => World;
  /** Something goes wrong: the rest has to come out right without it. */
  readonly fault: boolean;
}

export class Violation extends Error {}

const ROLE = 0;
const NAMES = ["a", "b"] as const;
const FACTS_PER_OWNERSHIP = 1;
const REST_IS_OVER = "xstate.after.rest.ownership.resting";
const life = createStepper(nodeLife);
const role = createStepper(partitionOwnership);

function newNode(id: string): TestNode {
  return {
    life: life.initial({ leaveTimeoutMs: 1 }).snapshot,
    role: role.initial({ restMs: 1 }).snapshot,
    id,
    isOpen: false,
    known: EMPTY_MAP,
    knownRevision: 0,
    write: "none",
    dead: [],
  };
}

export function firstWorld(budget: Budget): World {
  return {
    nodes: NAMES.map((name) => newNode(`${name}1`)),
    map: EMPTY_MAP,
    revision: 0,
    ended: [],
    ownerships: [],
    journal: [],
    worker: { epoch: 0, ord: -1 },
    net: [],
    left: budget,
  };
}

// --- what is known of a world ---

export function lifeOf(node: TestNode): Standing["life"] {
  const { value } = node.life;
  return (typeof value === "object" ? "member" : value) as Standing["life"];
}

const modeOf = (node: TestNode): OwnershipMode => node.role.value as OwnershipMode;
const contextOf = (node: TestNode): OwnershipContext => node.role.context as OwnershipContext;

/** Somebody has recovered it and does its work, and is who the map names. */
export function isServed({ nodes, map }: World): boolean {
  return nodes.some(
    (node) =>
      modeOf(node) === "owned" &&
      node.host?.phase === "running" &&
      ownerOf(map, ROLE) === node.id &&
      epochOf(map, ROLE) === node.host.epoch,
  );
}

function describe({ nodes, owners }: ClusterMap): string {
  const members = Object.entries(nodes).map(([id, { leaving }]) => (leaving ? `${id} (leaving)` : id));
  const { node, epoch, recovering } = owners[ROLE] ?? { epoch: 0 };
  const owner =
    node === undefined ? `free after epoch ${epoch}` : `${node}'s in epoch ${epoch}${recovering ? ", recovering" : ""}`;
  return `[${members.join(", ")}; ${owner}]`;
}

/** Parts of worlds are shared by most worlds; their keys too. */
function cached<T extends object>(keyOf: (part: T) => string): (part: T) => string {
  const keys = new WeakMap<T, string>();
  return (part) => {
    let key = keys.get(part);
    if (key === undefined) keys.set(part, (key = keyOf(part)));
    return key;
  };
}

const mapKey = cached(({ nodes, owners }: ClusterMap) => {
  const members = Object.entries(nodes).map(([id, { leaving, order }]) => `${id}${leaving ? "!" : ""}${order}`);
  const { node, epoch, recovering } = owners[ROLE] ?? { epoch: 0 };
  return `${members.join()}/${node ?? "-"}${epoch}${recovering ? "r" : ""}`;
});

const nodeKey = cached((node: TestNode) => {
  const { host } = node;
  const { epoch, failed } = contextOf(node);
  const ofHost = host && `${host.ord}${host.phase}${host.end},${host.knows},${host.facts}${host.reply ?? ""}`;
  const states = `${JSON.stringify(node.life.value)}${modeOf(node)}${epoch}${failed ? "f" : ""}`;
  return `${node.id}${node.isOpen ? "+" : ""} ${states} ${node.knownRevision} ${node.write} ${node.dead.join()} ${ofHost ?? ""} ${node.unsettled ?? ""}`;
});

const messageKey = cached((message: Message): string => {
  if (message.to === "map") return `m${message.from}${message.awaited ? "?" : ""}${message.revision}:${mapKey(message.map)}`;
  return message.to === "journal"
    ? `j${message.ord}@${message.end}${message.claim ? "c" : ""}`
    : `w${message.ord}e${message.epoch}`;
});

export function worldKey({ nodes, map, revision, ended, ownerships, journal, worker, net, left }: World): string {
  return [
    ...nodes.map(nodeKey),
    `${revision}${mapKey(map)}`,
    ended.join(),
    ownerships.join(),
    journal.join(),
    `${worker.epoch},${worker.ord}`,
    net.map(messageKey).sort().join(),
    Object.values(left).join(),
  ].join("|");
}

// --- changes ---

function withNode(world: World, index: number, change: Partial<TestNode>): World {
  return { ...world, nodes: world.nodes.map((node, i) => (i === index ? { ...node, ...change } : node)) };
}

function at(world: World, index: number): TestNode {
  const node = world.nodes[index];
  if (node === undefined) throw new Error(`no node ${index}`);
  return node;
}

function send(world: World, message: Message): World {
  const key = messageKey(message);
  return world.net.some((other) => messageKey(other) === key) ? world : { ...world, net: [...world.net, message] };
}

function tellLife(world: World, index: number, type: string, rest: object = {}): World {
  const node = at(world, index);
  const step = life.step(node.life, { type, ...rest });
  if (step.error !== undefined) throw new Violation(`the life of ${node.id} broke: ${String(step.error)}`);
  let next = withNode(world, index, { life: step.snapshot });
  for (const { type: action } of step.actions) {
    if (action === "dropAll") next = tellRole(next, index, "map.read", { mine: false, epoch: 0 });
    if (action === "begin") {
      const { id, isOpen } = at(next, index);
      if (isOpen) next = withNode(next, index, { id: `${id[0]}${Number(id.slice(1)) + 1}`, isOpen: false });
    }
    if (action === "endSession") next = { ...next, ended: [...new Set([...next.ended, at(next, index).id])].sort() };
  }
  return next;
}

function tellRole(world: World, index: number, type: string, rest: object = {}): World {
  const before = modeOf(at(world, index));
  const step: Step = role.step(at(world, index).role, { type, ...rest });
  if (step.error !== undefined) throw new Violation(`the ownership of ${at(world, index).id} broke: ${String(step.error)}`);
  let next = withNode(world, index, { role: step.snapshot });
  for (const { type: action } of step.actions) {
    if (action === "take") {
      if (at(next, index).host !== undefined) throw new Violation(`${at(next, index).id} takes what it has`);
      const { id: owner } = at(next, index);
      const { epoch } = contextOf(at(next, index));
      const ord = next.ownerships.indexOf(`${owner} ${epoch}`);
      if (ord < 0) throw new Violation(`${owner} takes under epoch ${epoch}, which the map never gave it`);
      next = withNode(next, index, { host: { owner, epoch, ord, phase: "opening", end: 0, knows: 0, facts: 0 } });
    }
    if (action === "drop") next = dropHost(next, index, before);
  }
  return next;
}

function dropHost(world: World, index: number, mode: OwnershipMode): World {
  const { host: _dropped, ...node } = at(world, index);
  const unsettled = mode === "taking" ? "take.failed" : mode === "givingBack" ? "giveBack.done" : undefined;
  const without = { ...node, ...(unsettled !== undefined && { unsettled }) } as TestNode;
  return { ...world, nodes: world.nodes.map((other, i) => (i === index ? without : other)) };
}

function withHost(world: World, index: number, change: Partial<Host>): World {
  const { host } = at(world, index);
  if (host === undefined) throw new Error("there is no host");
  const { reply: _read, ...rest } = host;
  return withNode(world, index, { host: { ...rest, ...change } });
}

function settle(world: World, index: number): World {
  const { unsettled, ...node } = at(world, index);
  const settled = { ...world, nodes: world.nodes.map((other, i) => (i === index ? (node as TestNode) : other)) };
  return unsettled === undefined ? world : tellRole(settled, index, unsettled);
}

/** As the membership does after each look: its life first, since an outcast gets another id. */
function note(world: World, index: number, map: ClusterMap, revision: number): World {
  let next = world;
  if (revision >= at(world, index).knownRevision) next = withNode(next, index, { known: map, knownRevision: revision });
  const { known } = at(next, index);
  next = tellLife(next, index, "map.read", { named: known.nodes[at(next, index).id] !== undefined });
  next = tellRole(next, index, "map.read", { mine: ownerOf(known, ROLE) === at(next, index).id, epoch: epochOf(known, ROLE) });
  return withNode(next, index, { dead: at(next, index).dead.filter((id) => known.nodes[id] !== undefined) });
}

/** Messages that nobody waits for and that cannot have an effect any more are as good as lost. */
function tidy(world: World, rules: Rules): World {
  const net = world.net.filter((message) => {
    switch (message.to) {
      case "map":
        return message.awaited || message.revision === world.revision || !rules.compareAndSet;
      case "journal":
        return message.end === world.journal.length || !rules.fence || isAwaited(world, message);
      case "worker":
        return !(rules.workerEpochs && message.epoch < world.worker.epoch);
    }
  });
  return net.length === world.net.length ? world : { ...world, net };
}

function isAwaited({ nodes }: World, { from, ord, end }: Message & { to: "journal" }): boolean {
  const host = nodes[from]?.host;
  return (
    host?.ord === ord && host.end === end && host.reply === undefined && (host.phase === "claiming" || host.phase === "appending")
  );
}

// --- all that can happen next ---

export function* nextWorlds(world: World, rules: Rules): Generator<Next> {
  for (const next of steps(world, rules)) yield { ...next, step: () => tidy(next.step(), rules) };
}

function* steps(world: World, rules: Rules): Generator<Next> {
  for (const [index, node] of world.nodes.entries()) {
    if (lifeOf(node) === "left") continue;
    yield* ofMembership(world, index, rules);
    yield* ofHost(world, index, rules);
    yield* ofFaults(world, index);
  }
  for (const message of world.net) yield arrival(world, message, rules);
}

function* ofMembership(world: World, index: number, rules: Rules): Generator<Next> {
  const node = at(world, index);
  const does = (what: string, next: World): Next => ({ label: `${node.id} ${what}`, step: () => next, fault: false });

  if (node.isOpen && world.ended.includes(node.id)) {
    const next = tellLife(world, index, "session.ended");
    if (next !== world) yield does("finds that its session was ended", next);
  }
  if (node.unsettled !== undefined) yield does(`is told ${node.unsettled} of what it has dropped`, settle(world, index));
  if (modeOf(node) === "resting") yield does("has rested", tellRole(world, index, REST_IS_OVER));

  if (node.write === "none") {
    const opened = withNode(world, index, { isOpen: true });
    yield does("reads the map", note(opened, index, world.map, world.revision));
    const next = wishedMap(node, rules);
    if (next !== node.known && node.isOpen) {
      const sent = withNode(world, index, { write: "sent" });
      const message: Message = { to: "map", from: index, awaited: true, revision: node.knownRevision, map: next };
      yield does(`wants the map to be ${describe(next)}`, send(sent, message));
    }
  } else if (node.write !== "sent") {
    const heard = withNode(world, index, { write: "none" });
    // One whose write got through knows what it wrote, and not yet what came after.
    yield does(
      `hears that its write was ${node.write}`,
      node.write === "done" ? note(heard, index, node.known, node.knownRevision) : heard,
    );
  }

  // A session that has run out: of a node that is gone for good that is no fault.
  if (lifeOf(node) !== "member") return;
  for (const id of Object.keys(node.known.nodes)) {
    if (id === node.id || node.dead.includes(id)) continue;
    const isAlive = world.nodes.some((other) => other.id === id && lifeOf(other) !== "left") && !world.ended.includes(id);
    if (isAlive && world.left.ends === 0) continue;
    const left = isAlive ? { ...world.left, ends: world.left.ends - 1 } : world.left;
    const ended = { ...world, left, ended: [...new Set([...world.ended, id])].sort() };
    yield {
      ...does(`ends the session of ${id}`, withNode(ended, index, { dead: [...node.dead, id].sort() })),
      fault: isAlive,
    };
  }
}

const wished = new WeakMap<Rules["fulfil"], WeakMap<TestNode, ClusterMap>>();

/** What the node wants the map to be, by what it knows of it. */
function wishedMap(node: TestNode, { fulfil: change }: Rules): ClusterMap {
  const known = wished.get(change) ?? new WeakMap<TestNode, ClusterMap>();
  wished.set(change, known);
  const found = known.get(node) ?? change(wishesIn(node), node.known);
  known.set(node, found);
  return found;
}

function wishesIn(node: TestNode): Wishes {
  const standing: Standing = {
    self: node.id,
    life: lifeOf(node),
    isAssured: lifeOf(node) === "member",
    isOpen: node.isOpen,
    roles: [ROLE],
    mode: () => modeOf(node),
    epoch: () => contextOf(node).epoch,
  };
  const wishes = wishesOf(standing, node.known);
  return {
    ...wishes,
    // The coordinator's role is left alone: it would double every world.
    mayClaim: (wanted) => wanted === ROLE && wishes.mayClaim(wanted),
    partitions: 1,
    at: "",
    node: { name: "", host: "", pid: 0, version: "" },
    dead: new Set(node.dead),
    forgotten: new Set(),
    infoOf: () => undefined,
  };
}

function* ofHost(world: World, index: number, rules: Rules): Generator<Next> {
  const { host, id } = at(world, index);
  if (host === undefined) return;
  const mode = modeOf(at(world, index));
  const does = (what: string, next: World): Next => ({ label: `${id}/${host.epoch} ${what}`, step: () => next, fault: false });
  const begin = (next: World, end: number): World =>
    tellRole(withHost(next, index, { phase: "running", end, knows: end }), index, "take.done");

  switch (host.phase) {
    case "opening": {
      const end = world.journal.length;
      if (rules.claimFact) yield does("reads the journal's end", withHost(world, index, { phase: "opened", end }));
      else yield does("recovers from the journal", begin(world, end));
      break;
    }
    case "opened": {
      if (!mayClaim(world, host, rules)) {
        yield does("finds that it is another's", tellRole(dropHost(world, index, "owned"), index, "take.failed"));
      } else {
        const message: Message = { to: "journal", from: index, ord: host.ord, end: host.end, claim: true };
        yield does("sends its claim to the journal", send(withHost(world, index, { phase: "claiming" }), message));
      }
      break;
    }
    case "claiming":
      if (host.reply === "committed") yield does("has claimed and recovers", begin(world, host.end + 1));
      if (host.reply === "fenced") yield does("was too late with its claim", withHost(world, index, { phase: "opening" }));
      break;
    case "running":
      if (mode === "givingBack") yield does("gives back", tellRole(dropHost(world, index, "owned"), index, "giveBack.done"));
      else if (mode === "owned" && host.facts < FACTS_PER_OWNERSHIP) {
        const next = withHost(world, index, { phase: "appending", facts: host.facts + 1 });
        yield does("appends", send(next, { to: "journal", from: index, ord: host.ord, end: host.end, claim: false }));
      }
      break;
    case "appending":
      if (host.reply === "committed")
        yield does("hears of its commit", withHost(world, index, { phase: "committed", end: host.end + 1, knows: host.end + 1 }));
      if (host.reply === "fenced") yield does("hits the fence", fenced(world, index));
      break;
    case "committed":
      yield does(
        "sends the effect",
        send(withHost(world, index, { phase: "running" }), { to: "worker", from: index, ord: host.ord, epoch: host.epoch }),
      );
      break;
  }
}

function mayClaim({ map, journal }: World, { owner, epoch, ord, end }: Host, { claimCheck }: Rules): boolean {
  if (claimCheck === "map") return ownerOf(map, ROLE) === owner && epochOf(map, ROLE) === epoch;
  return claimCheck === "none" || (journal[end - 1] ?? -1) <= ord;
}

function fenced(world: World, index: number): World {
  return tellRole(dropHost(world, index, modeOf(at(world, index))), index, "fenced");
}

function* ofFaults(world: World, index: number): Generator<Next> {
  const node = at(world, index);
  const { host } = node;
  const goes = (what: string, kind: keyof Budget, next: World): Next => ({
    label: `${node.id} ${what}`,
    step: () => ({ ...next, left: { ...next.left, [kind]: next.left[kind] - 1 } }),
    fault: true,
  });
  const { timeouts, crashes, stops, handovers } = world.left;

  if (timeouts > 0 && node.write === "sent") {
    const net = world.net.map((message) =>
      message.to === "map" && message.from === index ? { ...message, awaited: false } : message,
    );
    yield goes(
      "waits no longer for its write",
      "timeouts",
      tellLife(withNode({ ...world, net }, index, { write: "none" }), index, "look.failed"),
    );
  }
  if (
    timeouts > 0 &&
    host !== undefined &&
    (host.phase === "appending" || host.phase === "claiming") &&
    host.reply === undefined
  ) {
    // What the stream does when an acknowledgement stays out: the journal's end tells.
    const last = world.journal.at(-1);
    const isLonger = world.journal.length > host.end;
    const reply = last === host.ord ? "committed" : "fenced";
    const next = withHost(world, index, { reply, end: reply === "committed" ? world.journal.length - 1 : host.end });
    const resent = send(world, { to: "journal", from: index, ord: host.ord, end: host.end, claim: host.phase === "claiming" });
    yield goes("asks what became of its append", "timeouts", isLonger ? next : resent);
  }
  if (crashes > 0) {
    const fresh = newNode(`${node.id[0]}${Number(node.id.slice(1)) + 1}`);
    const net = world.net.map((message) =>
      message.to === "map" && message.from === index ? { ...message, awaited: false } : message,
    );
    const nodes = world.nodes.map((other, i) => (i === index ? fresh : other));
    yield goes("is killed, and starts again", "crashes", { ...world, net, nodes });
  }
  if (stops > 0) yield goes("is asked to stop", "stops", tellLife(world, index, "stop.requested"));
  const isLeaving = lifeOf(node) === "leaving";
  if (modeOf(node) === "owned" && (isLeaving || handovers > 0)) {
    const next = tellRole(world, index, "handover.due");
    yield isLeaving
      ? { label: `${node.id} is to give back`, step: () => next, fault: false }
      : goes("is to hand over", "handovers", next);
  }
}

// --- the server and the worker ---

function arrival(world: World, message: Message, rules: Rules): Next {
  const rest = { ...world, net: world.net.filter((other) => other !== message) };
  const happens = (label: string, step: () => World): Next => ({ label, step, fault: false });
  switch (message.to) {
    case "map":
      return happens(`the server gets the map ${describe(message.map)}`, () => writeMap(rest, message, rules));
    case "journal":
      return happens(`the journal gets ${message.claim ? "the claim" : "a fact"} of ${world.ownerships[message.ord]}`, () =>
        append(rest, world, message, rules),
      );
    case "worker":
      return happens(`the worker gets the effect of ${world.ownerships[message.ord]}`, () => carryOut(rest, message, rules));
  }
}

function writeMap(world: World, { from, awaited, revision, map }: Message & { to: "map" }, rules: Rules): World {
  if (rules.compareAndSet && revision !== world.revision) return awaited ? withNode(world, from, { write: "refused" }) : world;
  const next = world.revision + 1;
  const owner = ownerOf(map, ROLE);
  const ownership = `${owner} ${epochOf(map, ROLE)}`;
  const isNew = owner !== undefined && !world.ownerships.includes(ownership);
  const ownerships = isNew ? [...world.ownerships, ownership] : world.ownerships;
  const written = { ...world, map, revision: next, ownerships };
  return awaited ? withNode(written, from, { write: "done", known: map, knownRevision: next }) : written;
}

function append(world: World, before: World, message: Message & { to: "journal" }, rules: Rules): World {
  const { from, ord, end } = message;
  const isFenced = rules.fence && end !== world.journal.length;
  const reply = isFenced ? "fenced" : "committed";
  let next = world;
  if (isAwaited(before, message)) {
    const host = at(world, from).host;
    // Without the fence it may lie further back than expected.
    next = withHost(world, from, { reply, end: isFenced ? (host?.end ?? 0) : world.journal.length });
  }
  if (isFenced) return next;
  if (world.journal.some((other) => other > ord))
    throw new Violation(`the journal takes a message of ${world.ownerships[ord]} after those of a newer owner`);
  return { ...next, journal: [...world.journal, ord] };
}

function carryOut(world: World, { ord, epoch }: Message & { to: "worker" }, rules: Rules): World {
  const { worker } = world;
  if (rules.workerEpochs && epoch < worker.epoch) return world;
  if (ord < worker.ord)
    throw new Violation(
      `the worker accepts an effect of ${world.ownerships[ord]} after one of ${world.ownerships[worker.ord]}, which came later`,
    );
  return { ...world, worker: { epoch, ord } };
}

/** What holds in every world. */
export function checkWorld({ nodes, journal, ownerships }: World): void {
  for (const { host } of nodes) {
    if (host === undefined || ["opening", "opened", "claiming"].includes(host.phase)) continue;
    const missed = journal.slice(host.knows).find((ord) => ord < host.ord);
    if (missed !== undefined)
      throw new Violation(`${ownerships[host.ord]} has recovered without what ${ownerships[missed]} has committed`);
  }
}
