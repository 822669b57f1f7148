/** A nats-server for development: found or fetched, on a stable port, with its data below the folder that it is given. */
import { join } from "node:path";
import { NatsServerError } from "./nats-server-error.ts";
import { findNatsServerBinary } from "./nats-server-finder.ts";
import { startNatsServer, type NatsServer } from "./nats-server.ts";

export interface EmbeddedNatsOptions {
  /** Its files are in `nats` below this folder. */
  readonly dataDir: string;
  /** Default: 4222, or where that is taken the next that is free. 0: any that is free. */
  readonly port?: number | undefined;
  /** Told one line per thing that takes time. */
  readonly log?: ((line: string) => void) | undefined;
}

const USUAL_PORTS = [4222, 4223, 4224, 4225, 0];

/** @throws NatsServerError: none can be found, the port given is taken, or the folder is in use or cannot be written */
export async function startEmbeddedNats({ dataDir, port, log }: EmbeddedNatsOptions): Promise<NatsServer> {
  const { path: binary } = await findNatsServerBinary(log === undefined ? {} : { log });
  const storeDir = join(dataDir, "nats");
  const ports = port === undefined ? USUAL_PORTS : [port];
  for (const [index, candidate] of ports.entries()) {
    try {
      return await startNatsServer({ binary, storeDir, port: candidate });
    } catch (error) {
      if (!(error instanceof NatsServerError && error.code === "NATS_PORT_IN_USE") || index === ports.length - 1) throw error;
    }
  }
  throw new Error("no port was tried");
}
