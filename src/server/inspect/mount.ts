/**
 * The visualizer for any XState program, on the dashboard's server: `/inspect` takes programs in, `/inspect/out` gives runs to
 * Stately's receivers, `/api/inspect/...` is what the page asks.
 */
import type { Hono } from "hono";
import { DEFAULT_REDACT } from "../../protocol/redact.ts";
import type { Upgrades } from "../upgrades.ts";
import { inspectRoutes } from "./http.ts";
import { acceptProgram, isLocalOrigin } from "./intake.ts";
import { acceptReceiver, type RunSource } from "./out.ts";
import { Programs, type InspectLimits } from "./programs.ts";

/**
 * What is redacted of foreign programs, unless users name the fields: besides the usual ones the common names of credentials,
 * since nobody has looked at what these programs keep in their contexts.
 */
export const INSPECT_REDACT: readonly string[] = [
  ...DEFAULT_REDACT,
  ...["passwd", "passphrase", "apikey", "api_key", "x-api-key", "access_token", "accesstoken", "refresh_token", "refreshtoken"],
  ...["id_token", "idtoken", "auth_token", "authtoken", "client_secret", "clientsecret", "private_key", "privatekey"],
  ...["credentials", "cookie", "set-cookie", "session_token", "sessiontoken"],
];

export interface InspectOptions {
  readonly upgrades: Pick<Upgrades, "handle">;
  /** Without it there is no `/inspect/out`. */
  readonly runs?: RunSource | undefined;
  /** Takes out what must not be stored or shown; applied to everything that comes in. */
  readonly redact: (value: unknown) => unknown;
  /** Programs on other machines may connect too. Default false: only those on this one. */
  readonly allowRemote?: boolean | undefined;
  /** Pages that may connect to `/inspect` and `/inspect/out` besides our own, as origins (`https://app.example`). */
  readonly allowOrigins?: readonly string[] | undefined;
  readonly limits?: Partial<InspectLimits> | undefined;
  readonly now?: (() => number) | undefined;
  /** For `/inspect/out`. Default: 20 runs, looked at 4 times a second. */
  readonly maxRuns?: number | undefined;
  readonly everyMs?: number | undefined;
}

export interface Inspect {
  /** To be mounted at `/api/inspect`. */
  readonly routes: Hono;
  readonly programs: Programs;
  /** For the live topic `inspect`: called with the id of each program that has changed, at every change. */
  onChange(listener: (program: string) => void): () => void;
}

/** Messages up to the limit are looked at, longer ones counted; what is far longer ends the connection. */
const LARGEST_MESSAGE_FACTOR = 8;
/** Receivers have nothing to say. */
const RECEIVER_BYTES = 4_096;

export function mountInspect(options: InspectOptions): Inspect {
  const { upgrades, runs, redact, allowRemote = false, allowOrigins = [], limits, now } = options;
  const programs = new Programs({ redact, limits, now });
  const allowed = new Set(allowOrigins);
  upgrades.handle("/inspect", (socket, request) => acceptProgram(socket, request, programs, { allowRemote }), {
    allowOrigin: (origin) => isLocalOrigin(origin) || allowed.has(origin),
    maxBytes: programs.limits.messageBytes * LARGEST_MESSAGE_FACTOR,
  });
  if (runs !== undefined) {
    const { maxRuns = 20, everyMs = 250 } = options;
    upgrades.handle("/inspect/out", (socket, request) => acceptReceiver(socket, request, runs, { maxRuns, everyMs }), {
      allowOrigin: (origin) => allowed.has(origin),
      maxBytes: RECEIVER_BYTES,
    });
  }
  return { routes: inspectRoutes(programs), programs, onChange: (listener) => programs.onChange(listener) };
}
