/**
 * What `/api/stream` sends: server-sent events, one stream per tab with all its topics (`?topics=a,b,c`, each URI-encoded).
 * Messages of one topic come at most four times a second, each with what changed since the last. Every message has an id; a
 * stream that is resumed with `Last-Event-ID` gets what it missed, or `reset` where that is not known any more.
 */
import type { HealthView } from "./record.ts";
import type { GroupView, RunChangeMessage, WorkerView } from "./view.ts";

export type LiveTopic =
  | "runs"
  | `run:${string}`
  | "groups"
  /** `group:<limit>/<key>` */
  | `group:${string}`
  | "workflows"
  | "workers"
  | "events"
  | "health"
  | "inspect";

/** `event:` of the message and its `data:`. */
export interface LiveMessages {
  /** The first one, at each connection. */
  readonly hello: { readonly node: string; readonly startedAt: string };
  /** Something was missed: ask for everything again. */
  readonly reset: Record<string, never>;
  /** The newest change per run, of at most 1,000 runs, without outputs; `more` changed besides them. */
  readonly runs: { readonly changes: readonly RunChangeMessage[]; readonly more: number };
  /** A watched run has changed: ask for its record again. */
  readonly run: { readonly id: string; readonly change: RunChangeMessage };
  /** The first page of `group.list` as it is now (200 groups, most pressed first), each with its first 20 waiting runs. */
  readonly groups: { readonly items: readonly GroupView[]; readonly total: number };
  readonly group: GroupView;
  /** Counts have changed: ask for them again. */
  readonly workflows: { readonly names: readonly string[] };
  readonly workers: { readonly items: readonly WorkerView[] };
  /** Events have arrived, or something was rejected: ask for the list again. */
  readonly events: { readonly seq: number; readonly rejectedSeq?: number };
  readonly health: HealthView;
  /** Actors of a foreign program have changed: ids of its sessions. */
  readonly inspect: { readonly sessions: readonly string[] };
}
export type LiveEvent = keyof LiveMessages;

/** `GET /api/about`. */
export interface AboutView {
  readonly version: string;
  readonly node: string;
  readonly prefix: string;
  readonly startedAt: string;
  readonly readOnly: boolean;
  /** Where `nats pub` reaches it, without credentials; absent where it is not to be told. */
  readonly natsUrl?: string;
  /** True where the example workflows are served: then the page offers to publish demo events. */
  readonly demo: boolean;
}
