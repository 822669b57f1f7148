/** What a cluster was created with, kept in its bucket: whoever comes first decides. */
import { randomBytes } from "node:crypto";
import type { Logger } from "pino";
import type { Bucket } from "../../nats/bucket.ts";

export interface ClusterSettings {
  readonly v: 1;
  /** Tells this cluster's data from another's: of a history file, for one. */
  readonly id: string;
  readonly partitions: number;
}

const SETTINGS_KEY = "settings";
const SEAL_KEY = "history-key";

export async function clusterSettings(
  bucket: Bucket,
  { id, partitions }: Omit<ClusterSettings, "v">,
  logger: Logger,
): Promise<ClusterSettings> {
  const wanted: ClusterSettings = { v: 1, id, partitions };
  await bucket.compareAndSet(SETTINGS_KEY, wanted, 0);
  const settings = (await bucket.get<ClusterSettings>(SETTINGS_KEY))?.value ?? wanted;
  if (settings.partitions !== partitions)
    logger.info(
      { partitions: settings.partitions, asked: partitions },
      "the cluster keeps the number of partitions that it was created with",
    );
  return settings;
}

/** What the histories encrypt with. It is here, and not beside their files: whoever can read it can read the events too. */
export async function sealKey(bucket: Bucket): Promise<string> {
  const fresh = randomBytes(32).toString("hex");
  await bucket.compareAndSet(SEAL_KEY, fresh, 0);
  return (await bucket.get<string>(SEAL_KEY))?.value ?? fresh;
}
