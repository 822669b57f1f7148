/**
 * What a node wants of the cluster's map, as one change: whatever it has come to wish since the last one goes into one write. Pure; it is
 * worked out anew for every map that it is tried on, so it never carries over what was true of an older one.
 */
import { targetsOf } from "./assignment.ts";
import {
  claim,
  type ClusterMap,
  confirm,
  free,
  join,
  type NodeDescription,
  ownerOf,
  remove,
  type Role,
  rolesOf,
  setLeaving,
} from "./cluster-map.ts";

export interface Wishes {
  readonly self: string;
  readonly partitions: number;
  readonly at: string;
  /** `join` makes it a member, `leave` has it given nothing any more, `go` removes it. */
  readonly be: "join" | "stay" | "leave" | "go";
  readonly node: NodeDescription;
  /** Members whose session is known to be ended. */
  readonly dead: ReadonlySet<string>;
  /** What has stopped here, and what has begun, with the epoch that it was owned under. */
  readonly stopped: ReadonlyMap<Role, number>;
  readonly begun: ReadonlyMap<Role, number>;
  /** It may claim a role that it should own. */
  readonly mayClaim: (role: Role) => boolean;
}

export function fulfil(wishes: Wishes, map: ClusterMap): ClusterMap {
  const { self, partitions, at, be, node, dead, stopped, begun, mayClaim } = wishes;
  // One that was removed has no say any more.
  if (be !== "join" && map.nodes[self] === undefined) return map;
  let next = remove(map, dead, at);
  if (be === "join") next = join(next, self, node, at);
  for (const [role, epoch] of stopped) next = free(next, self, role, epoch, at);
  for (const [role, epoch] of begun) next = confirm(next, self, role, epoch);
  if (be === "leave") next = setLeaving(next, self);
  if (be === "go") return remove(next, new Set([self]), at);
  const target = targetsOf(next, partitions);
  for (const role of rolesOf(partitions))
    if (ownerOf(next, role) === undefined && target(role) === self && mayClaim(role)) next = claim(next, self, role, at);
  return next;
}
