/**
 * The engine nodes of a cluster as they are shown: from the map, and of each from itself, as far as it answers soon. Knows nothing of what
 * partitions are.
 */
import type { NodePartitionView, NodeView } from "../../protocol/view.ts";
import type { NodeCalls } from "./node-calls.ts";

/** What a node knows of a member; of itself exactly. */
export interface MemberView {
  readonly id: string;
  readonly name: string;
  readonly host: string;
  readonly pid: number;
  readonly version: string;
  readonly joinedAt: string;
  readonly state: NodeView["state"];
  /** Since its last sign of life, in ms; absent of oneself. */
  readonly silentMs?: number;
  readonly roles: readonly {
    readonly role: number | "coordinator";
    readonly epoch: number;
    readonly mode: NodePartitionView["state"];
  }[];
}

/** The members of the cluster; `Membership` is it. */
export interface ClusterMembers {
  view(): readonly MemberView[];
}

/** What a node says of itself. */
interface SelfView extends MemberView {
  /** Partitions that stand still; nodes of the release before name none. */
  readonly refused?: readonly number[];
}

const SELF = "node.self";
/** One that takes longer is shown as the others see it. */
const ANSWER_MS = 500;

export class NodeViews {
  readonly #calls: NodeCalls;
  readonly #members: ClusterMembers;

  constructor(calls: NodeCalls, members: ClusterMembers, isRefused: (partition: number) => boolean) {
    this.#calls = calls;
    this.#members = members;
    calls.serve(SELF, async (): Promise<SelfView | null> => {
      const self = members.view().find(({ id }) => id === calls.self);
      if (self === undefined) return null;
      const refused = self.roles.flatMap(({ role }) => (role !== "coordinator" && isRefused(role) ? [role] : []));
      return { ...self, refused };
    });
  }

  /** Those that have been members longest first. */
  async list(): Promise<readonly NodeView[]> {
    const told = await this.#calls.toAll<SelfView | null>(SELF, {}, { partialAfterMs: ANSWER_MS });
    const nowMs = Date.now();
    return this.#members
      .view()
      .map((seen) => viewOf({ ...seen, ...told.get(seen.id) }, seen.silentMs ?? 0, nowMs))
      .sort((a, b) => (a.joinedAt < b.joinedAt ? -1 : a.joinedAt > b.joinedAt ? 1 : a.id < b.id ? -1 : 1));
  }
}

function viewOf(member: SelfView, silentMs: number, nowMs: number): NodeView {
  const { id, name, host, pid, version, joinedAt, state, roles, refused } = member;
  const partitions = roles.flatMap(({ role, epoch, mode }) =>
    role === "coordinator"
      ? []
      : [{ partition: role, state: mode, epoch, ...(refused?.includes(role) && { refused: true as const }) }],
  );
  const leads = roles.find(({ role }) => role === "coordinator");
  return {
    id,
    name,
    host,
    pid,
    sluiceVersion: version,
    joinedAt,
    state,
    coordinator: leads !== undefined,
    ...(leads !== undefined && { coordinatorState: leads.mode, coordinatorEpoch: leads.epoch }),
    partitions,
    lastSeenAt: new Date(nowMs - silentMs).toISOString(),
  };
}
