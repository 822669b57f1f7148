/**
 * An engine node with an option that the command line does not have: a snapshot after few facts, so that a short test recovers
 * from snapshots. Like `sluice engine`, it starts again when it has lost its partitions.
 */
import { startEngine } from "sluice/engine";

const {
  SLUICE_NATS_URL: servers,
  SLUICE_TEST_DATA_DIR: dataDir,
  SLUICE_TEST_LEASE: lease,
  SLUICE_TEST_SNAPSHOT_EVERY: snapshotEvery,
} = process.env;

let engine;
process.on("SIGTERM", () => {
  void engine?.stop().then(() => process.exit(0));
});
for (;;) {
  engine = await startEngine({ servers, dataDir, lease, snapshotEvery: Number(snapshotEvery) });
  await engine.closed;
  await engine.stop();
}
