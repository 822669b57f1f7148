/**
 * Once before all tests: finds the nats-server that they run. `SLUICE_NATS_URL` does not count here, since tests need servers
 * that they may stop, kill and fill; `SLUICE_TEST_NATS_SERVER` names a binary, to test against a certain version.
 */
import { findNatsServerBinary } from "../../src/dev/nats-server-finder.ts";

export default async function setup(): Promise<void> {
  if (process.env["SLUICE_TEST_NATS_SERVER"] !== undefined) return;
  const found = await findNatsServerBinary({ log: (line) => console.error(line) });
  process.env["SLUICE_TEST_NATS_SERVER"] = found.path;
}
