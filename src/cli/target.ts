/**
 * Which NATS server and cluster a command means: `--nats`, else `SLUICE_NATS_URL`, else the server that `sluice dev` started in
 * this folder, else the usual address of one.
 */
import { join } from "node:path";
import { DATA_FOLDER, findDevRecord } from "./dev-record.ts";
import type { ConnectionOptions } from "../nats/connection.ts";
import type { Environment } from "./environment.ts";

const DEFAULT_URL = "nats://127.0.0.1:4222";
const DEFAULT_PREFIX = "sluice";

export interface Target {
  readonly servers: readonly string[];
  /** The same servers, and who to be on them. */
  readonly connection: ConnectionOptions;
  readonly prefix: string;
  /** How it came to be that server; completes an error about it. */
  readonly origin: string;
}

export interface TargetOptions {
  /** One or more addresses, with commas between them. */
  readonly nats?: string | undefined;
  readonly prefix?: string | undefined;
}

export async function findTarget(options: TargetOptions, env: Environment, folder: string): Promise<Target> {
  const prefix = options.prefix ?? env.prefix;
  const given = (url: string, origin: string): Target => {
    const servers = addresses(url);
    return { servers, connection: { servers, ...env.natsLogin }, prefix: prefix ?? DEFAULT_PREFIX, origin };
  };
  if (options.nats !== undefined) return given(options.nats, "it was given with --nats");
  if (env.natsUrl !== undefined) return given(env.natsUrl, "it was given in SLUICE_NATS_URL");

  const found = await findDevRecord(join(folder, DATA_FOLDER));
  if (found.found === "running") {
    // Its server knows no users and no TLS.
    const servers = [found.record.natsUrl];
    return {
      servers,
      connection: { servers },
      prefix: prefix ?? found.record.prefix,
      origin: `"sluice dev" (process ${found.record.pid}) runs it`,
    };
  }
  const advice = 'start everything with "sluice dev", or name a server with --nats or SLUICE_NATS_URL';
  return given(
    DEFAULT_URL,
    found.found === "stale"
      ? `the "sluice dev" of this folder has ended; ${advice}`
      : `no "sluice dev" runs in this folder; ${advice}`,
  );
}

function addresses(text: string): readonly string[] {
  return text
    .split(",")
    .map((address) => address.trim())
    .filter((address) => address !== "");
}
