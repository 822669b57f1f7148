/**
 * Who should own what, given the members and who owns it now. Pure, and the same on every node for the same map. Partitions are spread
 * evenly (no node has more than one above another) with the fewest moves that this takes; among equal choices, by rendezvous
 * hashing (Thaler and Ravishankar, 1998), so that no node needs to know a history.
 */
import { hash } from "../placement.ts";
import { type ClusterMap, eligible, longestMember, ownerOf, type Role, rolesOf } from "./cluster-map.ts";

export interface Move {
  readonly role: Role;
  readonly from: string;
  /** Undefined where there is nobody to take it: all members are leaving. */
  readonly to: string | undefined;
}

/** For each partition, by number, the node that should own it; undefined for all when there is no node. */
export function assignPartitions(
  nodes: readonly string[],
  partitions: number,
  ownerNow: (partition: number) => string | undefined,
): (string | undefined)[] {
  const targets = Array.from<string | undefined>({ length: partitions });
  if (nodes.length === 0) return targets;
  const owned = new Map<string, number[]>([...nodes].sort().map((id) => [id, []]));
  for (let partition = 0; partition < partitions; partition++) owned.get(ownerNow(partition) ?? "")?.push(partition);

  // Who has most keeps most: the nodes that may have one more than the others are those that have it already.
  const byCount = [...owned].sort(([, a], [, b]) => b.length - a.length);
  const least = Math.floor(partitions / nodes.length);
  const withOneMore = partitions % nodes.length;
  const room = new Map<string, number>();
  for (const [index, [id, has]] of byCount.entries()) {
    const share = index < withOneMore ? least + 1 : least;
    const kept = has.sort((a, b) => weight(id, b) - weight(id, a) || a - b).slice(0, share);
    for (const partition of kept) targets[partition] = id;
    room.set(id, share - kept.length);
  }

  for (let partition = 0; partition < partitions; partition++) {
    if (targets[partition] !== undefined) continue;
    const takers = [...room].filter(([, places]) => places > 0).map(([id]) => id);
    const [taker] = takers.sort((a, b) => weight(b, partition) - weight(a, partition) || (a < b ? -1 : 1));
    if (taker === undefined) throw new Error(`no node has room for partition ${partition}`);
    targets[partition] = taker;
    room.set(taker, (room.get(taker) ?? 0) - 1);
  }
  return targets;
}

/** For each role the node that should own it. The coordinator stays where it is; free, it goes to the longest member. */
export function targetsOf(map: ClusterMap, partitions: number): (role: Role) => string | undefined {
  const nodes = eligible(map);
  const ofPartitions = assignPartitions(nodes, partitions, (partition) => ownerOf(map, partition));
  const now = ownerOf(map, "coordinator");
  const coordinator = now !== undefined && nodes.includes(now) ? now : longestMember(map, nodes);
  return (role) => (role === "coordinator" ? coordinator : ofPartitions[role]);
}

/** What lies with another than it should: first what the leaving ones have, since they wait for that. */
export function movesOf(map: ClusterMap, partitions: number): Move[] {
  const target = targetsOf(map, partitions);
  const moves: Move[] = [];
  for (const role of rolesOf(partitions)) {
    const from = ownerOf(map, role);
    const to = target(role);
    if (from !== undefined && from !== to) moves.push({ role, from, to });
  }
  const isLeaving = ({ from }: Move): boolean => map.nodes[from]?.leaving === true;
  return [...moves.filter(isLeaving), ...moves.filter((move) => !isLeaving(move))];
}

/** Nothing is on its way: every role has an owner, and that one is at work. */
export function isSettled(map: ClusterMap, partitions: number): boolean {
  return rolesOf(partitions).every((role) => {
    const ownership = map.owners[role];
    return ownership?.node !== undefined && !ownership.recovering;
  });
}

/**
 * What that node is to give back now. One role per cluster at a time, and only while nothing else is on its way; all at once when there is
 * nobody to take them. A leaving node does not wait for ever: `stalled`, when the map has not changed for long.
 */
export function handoversDue(map: ClusterMap, partitions: number, node: string, stalled: boolean): Role[] {
  const moves = movesOf(map, partitions);
  const own = moves.filter(({ from }) => from === node);
  const [next] = moves;
  if (next === undefined || own.length === 0) return [];
  if (next.to === undefined) return own.map(({ role }) => role);
  if (isSettled(map, partitions)) return next.from === node ? [next.role] : [];
  return stalled && map.nodes[node]?.leaving ? own.slice(0, 1).map(({ role }) => role) : [];
}

function weight(node: string, partition: number): number {
  return hash(`${node} ${partition}`);
}
