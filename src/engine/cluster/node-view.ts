/** The members of the cluster as they are shown: of this node what its machines say, of others what the map and their sessions do. */
import type { OwnershipMode } from "../../../machines/cluster/partition-ownership.ts";
import { type ClusterMap, epochOf, type Member, ownerOf, type Role, rolesOf } from "./cluster-map.ts";
import type { LifeMode, Machines } from "./machines.ts";
import type { OtherMembers } from "./other-members.ts";

export interface NodeView extends Member {
  readonly id: string;
  readonly self: boolean;
  /** The state of its machine where that is known (`self`), else what the map and its session say. */
  readonly state: LifeMode | "silent";
  readonly silentMs?: number;
  readonly roles: readonly { readonly role: Role; readonly epoch: number; readonly mode: OwnershipMode }[];
}

export interface NodeViewSources {
  readonly map: ClusterMap;
  readonly self: string;
  readonly partitions: number;
  readonly ttlMs: number;
  readonly machines: Machines;
  readonly others: OtherMembers;
}

export function viewNodes({ map, self: own, partitions, ttlMs, machines, others }: NodeViewSources): NodeView[] {
  const ofOther = (id: string, silentMs: number): NodeView["state"] =>
    silentMs > ttlMs / 2 ? "silent" : map.nodes[id]?.leaving ? "leaving" : "member";
  const modeOf = (role: Role, self: boolean): OwnershipMode =>
    self ? machines.mode(role) : map.owners[role]?.recovering ? "taking" : "owned";
  return Object.entries(map.nodes).map(([id, member]) => {
    const self = id === own;
    const silentMs = self ? undefined : others.silentMs(id);
    return {
      ...member,
      id,
      self,
      state: self ? machines.life : ofOther(id, silentMs ?? 0),
      ...(silentMs !== undefined && { silentMs }),
      roles: rolesOf(partitions)
        .filter((role) => ownerOf(map, role) === id)
        .map((role) => ({ role, epoch: epochOf(map, role), mode: modeOf(role, self) })),
    };
  });
}
