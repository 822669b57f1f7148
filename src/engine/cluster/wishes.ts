/**
 * What a node wants of the cluster's map, as one change: whatever it has come to wish since the last one goes into one write. Pure; it is
 * worked out anew for every map that it is tried on, so it never carries over what was true of an older one.
 */
import type { OwnershipMode } from "../../../machines/cluster/partition-ownership.ts";
import { targetsOf } from "./assignment.ts";
import {
  claim,
  type ClusterMap,
  confirm,
  forget,
  free,
  join,
  type NodeDescription,
  ownerOf,
  remove,
  type Role,
  rolesOf,
  setLeaving,
} from "./cluster-map.ts";

/** Of one node, for one change. */
export interface Wishes {
  readonly self: string;
  readonly partitions: number;
  readonly at: string;
  /** `join` makes it a member, `leave` has it given nothing any more, `go` removes it. */
  readonly be: "join" | "stay" | "leave" | "go";
  readonly node: NodeDescription;
  /** Members whose session is known to be ended. */
  readonly dead: ReadonlySet<string>;
  /** Members that are gone and that nobody needs to wait for any more. */
  readonly forgotten: ReadonlySet<string>;
  /** What is to be remembered of a member that is gone. */
  readonly infoOf: (id: string) => unknown;
  /** What has stopped here, and what has begun, with the epoch that it was owned under. */
  readonly stopped: ReadonlyMap<Role, number>;
  readonly begun: ReadonlyMap<Role, number>;
  /** It may claim a role that it should own. */
  readonly mayClaim: (role: Role) => boolean;
}

/** How far a node is, by its machines. */
export interface Standing {
  readonly self: string;
  readonly life: "joining" | "member" | "outcast" | "withdrawing" | "leaving" | "left";
  /** By its own clock its session has not run out. */
  readonly isAssured: boolean;
  /** It has opened its session: nobody may be a member without one. */
  readonly isOpen: boolean;
  readonly roles: readonly Role[];
  readonly mode: (role: Role) => OwnershipMode;
  readonly epoch: (role: Role) => number;
}

/** What a node wishes that stands like that, when the map is this one. */
export function wishesOf(
  { self, life, isAssured, isOpen, roles, mode, epoch }: Standing,
  map: ClusterMap,
): Pick<Wishes, "self" | "be" | "stopped" | "begun" | "mayClaim"> {
  const withMode = (wanted: OwnershipMode): Map<Role, number> =>
    new Map(roles.filter((role) => mode(role) === wanted).map((role) => [role, epoch(role)]));
  const hasNothing = roles.every(
    (role) => (mode(role) === "elsewhere" || mode(role) === "resting") && ownerOf(map, role) !== self,
  );
  const wishes = {
    joining: isOpen ? "join" : "stay",
    member: "stay",
    outcast: "stay",
    withdrawing: "go",
    leaving: hasNothing ? "go" : "leave",
    left: "stay",
  } as const;
  return {
    self,
    be: wishes[life],
    stopped: withMode("freeing"),
    // All at once: only the pace of handovers depends on it.
    begun: withMode("taking").size > 0 ? new Map() : withMode("owned"),
    mayClaim: (role) => (life === "joining" || isAssured) && mode(role) === "elsewhere",
  };
}

export function fulfil(wishes: Wishes, map: ClusterMap): ClusterMap {
  const { self, partitions, at, be, node, dead, forgotten, infoOf, stopped, begun, mayClaim } = wishes;
  // One that was removed has no say any more.
  if (be !== "join" && map.nodes[self] === undefined) return map;
  let next = remove(forget(map, forgotten), dead, at, infoOf);
  if (be === "join") next = join(next, self, node, at);
  for (const [role, epoch] of stopped) next = free(next, self, role, epoch, at);
  for (const [role, epoch] of begun) next = confirm(next, self, role, epoch);
  if (be === "leave") next = setLeaving(next, self);
  if (be === "go") return remove(next, new Set([self]), at, infoOf);
  const target = targetsOf(next, partitions);
  for (const role of rolesOf(partitions))
    if (ownerOf(next, role) === undefined && target(role) === self && mayClaim(role)) next = claim(next, self, role, at);
  return next;
}
