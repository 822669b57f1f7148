/**
 * What this node does for its cluster at the moment: the partitions that it owns, and the reading of events while it coordinates.
 * The membership says what to take, to give back and to drop; this carries it out, one role at a time for each.
 */
import type { Logger } from "pino";
import type { Role } from "./cluster/cluster-map.ts";
import type { AppliedInboxes } from "./cluster/applied-inboxes.ts";
import type { JournalFollowers } from "./journal-followers.ts";
import type { OwnedPartitions } from "./owned-partitions.ts";
import type { Partition } from "./partition.ts";
import type { PartitionHost } from "./partition-host.ts";
import type { Router } from "./router.ts";

export interface RolesOptions {
  readonly owned: OwnedPartitions;
  readonly applied: AppliedInboxes;
  readonly followers: JournalFollowers | undefined;
  readonly createHost: (partition: number, epoch: number) => PartitionHost;
  readonly createRouter: (epoch: number) => Router;
  /** It has recovered and runs: rules and crons that are in force are to be told. */
  readonly onTaken: (partition: Partition) => void;
  /** It is here no more: who keeps something for it forgets that. */
  readonly onGone: (partition: number) => void;
  readonly logger: Logger;
}

export class Roles {
  readonly #options: RolesOptions;
  readonly #hosts = new Map<number, PartitionHost>();
  #router: Router | undefined = undefined;

  constructor(options: RolesOptions) {
    this.#options = options;
  }

  /** While this node coordinates. */
  get router(): Router | undefined {
    return this.#router;
  }

  /** Of a partition that is here. */
  host(partition: number): PartitionHost | undefined {
    return this.#hosts.get(partition);
  }

  /** How many partitions stand still, since the server does not take their journals. */
  get refused(): number {
    return [...this.#hosts.values()].filter(({ stream }) => stream.refusedSince !== undefined).length;
  }

  async take(role: Role, epoch: number): Promise<void> {
    if (role === "coordinator") {
      const router = this.#options.createRouter(epoch);
      this.#router = router;
      await router.start();
    } else await this.#takePartition(role, epoch);
  }

  async giveBack(role: Role): Promise<void> {
    if (role === "coordinator") {
      const router = this.#router;
      await router?.stop();
      if (this.#router === router) this.#router = undefined;
      return;
    }
    const host = this.#hosts.get(role);
    if (host === undefined) return;
    // It answers questions until its last fact is durable; what it is told from here on waits for the next owner.
    await host.giveBack();
    if (this.#hosts.get(role) === host) this.#forget(role);
  }

  drop(role: Role): void {
    if (role === "coordinator") {
      this.#router?.abandon();
      this.#router = undefined;
      return;
    }
    const host = this.#hosts.get(role);
    if (host === undefined) return;
    host.drop();
    this.#forget(role);
  }

  /** Ends attempts that wait for a server that is away. */
  giveUp(): void {
    for (const host of this.#hosts.values()) host.giveUp();
  }

  async #takePartition(number: number, epoch: number): Promise<void> {
    const { owned, applied, followers, createHost, onTaken, logger } = this.#options;
    followers?.letGo(number);
    const host = createHost(number, epoch);
    this.#hosts.set(number, host);
    const began = performance.now();
    try {
      await host.recover();
    } catch (error) {
      if (this.#hosts.get(number) === host) {
        host.drop();
        this.#forget(number);
      }
      throw error;
    }
    // Dropped meanwhile: whoever did that knows.
    if (this.#hosts.get(number) !== host) return;
    const { partition } = host;
    applied.open(number, partition.core.inboxSeq);
    // Before it starts: what it has given to workers is of its epoch.
    owned.add(partition, epoch);
    host.start();
    onTaken(partition);
    host.readInbox();
    logger.debug(
      { partition: number, epoch, runs: partition.core.runs.size, tookMs: Math.round(performance.now() - began) },
      "a partition is owned here",
    );
  }

  #forget(number: number): void {
    const { owned, applied, followers, onGone } = this.#options;
    this.#hosts.delete(number);
    owned.remove(number);
    applied.close(number);
    onGone(number);
    followers?.follow(number);
  }
}
