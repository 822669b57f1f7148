/** What a member of the cluster is made with: where it stands, and who carries out what its machines want. */
import type { Logger } from "pino";
import type { Clock } from "../../clock.ts";
import type { NodeDescription, Role } from "./cluster-map.ts";
import type { MapBucket } from "./map-store.ts";

export interface MembershipOptions {
  readonly bucket: MapBucket;
  readonly node: NodeDescription;
  /** Ids of nodes: part of a key of the bucket. Asked again each time that the node was taken for dead. */
  readonly newId: () => string;
  readonly partitions: number;
  /** After that time without a sign of life others take what this node has. */
  readonly ttlMs: number;
  /** How long `stop` waits for NATS and for those that take over; then it leaves without a word. Default 30 s. */
  readonly leaveTimeoutMs?: number;
  /** How long a role that could not be taken is left alone. Default 1 s. */
  readonly restMs?: number;
  /** Must be monotonic; by default the process's. */
  readonly clock?: Clock;
  /** For what is shown. */
  readonly isoNow?: () => string;
  readonly logger: Logger;
  /** Tells the others that the map has changed. May get lost. */
  readonly announce: () => void;
  /** For the session's record; asked at each renewal. */
  readonly info?: () => unknown;
  /** Claim it in the journal, recover, start. When it rejects, the role is freed and tried again later. */
  readonly take: (role: Role, epoch: number) => Promise<void>;
  /** Stop gracefully, write a snapshot. When it rejects, the role is dropped and given away all the same. */
  readonly giveBack: (role: Role) => Promise<void>;
  /** At once, without a word; also while it is being taken or given back. May be called when there is nothing any more. */
  readonly drop: (role: Role) => void;
  /** It was taken for dead: all was dropped, and it joins anew under another id. */
  readonly onOutcast: () => void;
}
