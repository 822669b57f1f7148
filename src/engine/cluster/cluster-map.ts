/**
 * The map of the cluster: its members and who owns what. One value, replaced as a whole by compare-and-set, so its changes have one order
 * on all nodes. Pure: every change gives a new map, or the same one where there is nothing to change.
 */

/** What can be owned: a partition, by number, or the reading of events and the slots of workers. */
export type Role = number | "coordinator";

export interface NodeDescription {
  readonly name: string;
  readonly host: string;
  readonly pid: number;
  readonly version: string;
}

export interface Member extends NodeDescription {
  /** By that node's clock: to be shown, never compared. */
  readonly joinedAt: string;
  /** Smaller for those that have been members longer. */
  readonly order: number;
  /** It gets nothing any more, and gives back what it has. */
  readonly leaving?: true;
}

/** What was known last of one that is no member any more. */
export interface AbsentMember {
  readonly name: string;
  readonly host: string;
  /** What it wanted the others to know. */
  readonly info: unknown;
}

export interface Ownership {
  /** The owner's id; without one the role is free. */
  readonly node?: string;
  /** Grows with every claim, so also when a node claims again what it had. */
  readonly epoch: number;
  /** When that came to be, by the writer's clock. */
  readonly at: string;
  /** The owner has claimed it, and is not at work yet. */
  readonly recovering?: true;
}

export interface ClusterMap {
  readonly v: 1;
  readonly nodes: Readonly<Record<string, Member>>;
  /** By role. A role that is not there was never owned. */
  readonly owners: Readonly<Record<string, Ownership>>;
  /** Definitions up to this sequence of the events stream are in force. */
  readonly definitionsSeq?: number;
  /** By id, oldest first: members that are gone, and may come back under another id. Nobody waits for them for ever. */
  readonly absent?: Readonly<Record<string, AbsentMember>>;
}

/** More than that many are not remembered. */
export const MAX_ABSENT = 16;

const FIRST_EPOCH_MS = Date.UTC(2026, 0, 1);

export const EMPTY_MAP: ClusterMap = Object.freeze({ v: 1, nodes: {}, owners: {} });

/** All roles, in the order in which they are gone through everywhere. */
export function rolesOf(partitions: number): Role[] {
  return [...Array.from({ length: partitions }, (_, partition) => partition), "coordinator"];
}

export function ownerOf(map: ClusterMap, role: Role): string | undefined {
  return map.owners[role]?.node;
}

export function epochOf(map: ClusterMap, role: Role): number {
  return map.owners[role]?.epoch ?? 0;
}

/** The members that may be given something. */
export function eligible(map: ClusterMap): string[] {
  return Object.keys(map.nodes).filter((id) => map.nodes[id]?.leaving === undefined);
}

/** The member of those that has been one for longest. */
export function longestMember(map: ClusterMap, among: readonly string[]): string | undefined {
  const order = (id: string): number => map.nodes[id]?.order ?? Infinity;
  return among.reduce<string | undefined>(
    (longest, id) => (longest === undefined || order(id) < order(longest) ? id : longest),
    undefined,
  );
}

/** A new member. One that was removed never comes back under its old id; the one that it may have been is not absent any more. */
export function join(map: ClusterMap, id: string, node: NodeDescription, at: string): ClusterMap {
  if (map.nodes[id] !== undefined) return map;
  const order = 1 + Math.max(0, ...Object.values(map.nodes).map((member) => member.order));
  const { name, host, pid, version } = node;
  const next = { ...map, nodes: { ...map.nodes, [id]: { name, host, pid, version, joinedAt: at, order } } };
  const back = Object.entries(map.absent ?? {}).find(([, absent]) => absent.name === name && absent.host === host);
  return back === undefined ? next : forget(next, new Set([back[0]]));
}

/** Absent members that nobody waits for any more. */
export function forget(map: ClusterMap, ids: ReadonlySet<string>): ClusterMap {
  const { absent = {}, ...rest } = map;
  const kept = Object.entries(absent).filter(([id]) => !ids.has(id));
  if (kept.length === Object.keys(absent).length) return map;
  return kept.length === 0 ? rest : { ...rest, absent: Object.fromEntries(kept) };
}

export function setLeaving(map: ClusterMap, id: string): ClusterMap {
  const member = map.nodes[id];
  if (member === undefined || member.leaving) return map;
  return { ...map, nodes: { ...map.nodes, [id]: { ...member, leaving: true } } };
}

/** Members that left or are dead: what they still owned is free. `infoOf`: what is remembered of them; undefined where there is nothing. */
export function remove(
  map: ClusterMap,
  ids: ReadonlySet<string>,
  at: string,
  infoOf: (id: string) => unknown = () => undefined,
): ClusterMap {
  const gone = Object.entries(map.nodes).filter(([id]) => ids.has(id));
  if (gone.length === 0) return map;
  const nodes = Object.fromEntries(Object.entries(map.nodes).filter(([id]) => !ids.has(id)));
  const owners = Object.entries(map.owners).map(([role, ownership]) => [
    role,
    ownership.node !== undefined && ids.has(ownership.node) ? { epoch: ownership.epoch, at } : ownership,
  ]);
  const absent = [
    ...Object.entries(map.absent ?? {}),
    ...gone.flatMap(([id, { name, host }]): [string, AbsentMember][] => {
      const info = infoOf(id);
      return info === undefined ? [] : [[id, { name, host, info }]];
    }),
  ].slice(-MAX_ABSENT);
  return {
    ...map,
    nodes,
    owners: Object.fromEntries(owners) as ClusterMap["owners"],
    ...(absent.length > 0 && { absent: Object.fromEntries(absent) }),
  };
}

/** Only what is free, and only for a member. */
export function claim(map: ClusterMap, id: string, role: Role, at: string): ClusterMap {
  if (map.nodes[id] === undefined || ownerOf(map, role) !== undefined) return map;
  const epoch = map.owners[role] === undefined ? firstEpoch(at) : epochOf(map, role) + 1;
  return withOwner(map, role, { node: id, epoch, at, recovering: true });
}

/**
 * Of a role that was never owned. Not 1: where the cluster's data was lost, workers go on that have seen the epochs from before, and they
 * shall not take the new owners for old ones. Seconds grow faster than ownership changes.
 */
function firstEpoch(at: string): number {
  const seconds = Math.floor((Date.parse(at) - FIRST_EPOCH_MS) / 1_000);
  return Number.isSafeInteger(seconds) ? Math.max(1, seconds) : 1;
}

/** The owner is at work. */
export function confirm(map: ClusterMap, id: string, role: Role, epoch: number): ClusterMap {
  const ownership = map.owners[role];
  if (ownership?.node !== id || ownership.epoch !== epoch || !ownership.recovering) return map;
  return withOwner(map, role, { node: id, epoch, at: ownership.at });
}

/** What that node owns under that epoch, and nothing that came after. */
export function free(map: ClusterMap, id: string, role: Role, epoch: number, at: string): ClusterMap {
  const ownership = map.owners[role];
  if (ownership?.node !== id || ownership.epoch !== epoch) return map;
  return withOwner(map, role, { epoch, at });
}

export function setDefinitionsSeq(map: ClusterMap, seq: number): ClusterMap {
  return (map.definitionsSeq ?? 0) >= seq ? map : { ...map, definitionsSeq: seq };
}

function withOwner(map: ClusterMap, role: Role, ownership: Ownership): ClusterMap {
  return { ...map, owners: { ...map.owners, [role]: ownership } };
}
