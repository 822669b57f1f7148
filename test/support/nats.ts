/** A real nats-server for a test: on a free port, with a data folder of its own, gone at the end of the test (or file). */
import { type NatsServer, type NatsServerOptions, startNatsServer } from "../../src/dev/nats-server.ts";
import { onCleanup } from "./cleanup.ts";
import { temporaryFolder } from "./temporary-folder.ts";

/** The nats-server that the tests run; `global-setup.ts` has found it. */
export function natsServerBinary(): string {
  const binary = process.env["SLUICE_TEST_NATS_SERVER"];
  if (binary === undefined)
    throw new Error("SLUICE_TEST_NATS_SERVER is not set: run the tests through vitest, whose global setup finds a nats-server");
  return binary;
}

/** Call it in `beforeAll` for one server per file, or in a test for one of its own. */
export async function startTestServer(options: Partial<NatsServerOptions> = {}): Promise<NatsServer> {
  const storeDir = options.storeDir ?? (await temporaryFolder("nats"));
  const server = await startNatsServer({ binary: natsServerBinary(), stopTimeoutMs: 5000, ...options, storeDir });
  onCleanup(async () => await server.stop());
  return server;
}
