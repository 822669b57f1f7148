/** The feed of every topic, from the operations of the API and the changes of runs. */
import { isSluiceError } from "../../errors.ts";
import type { Clock } from "../../clock.ts";
import type { HealthView } from "../../protocol/record.ts";
import type { GroupView, Operation, Operations, WorkerView } from "../../protocol/view.ts";
import { inspectFeed, runFeed, runsFeed, shareChanges, workflowsFeed, type WatchChanges } from "./change-feeds.ts";
import type { Feed } from "./channel.ts";
import { poll, pollFeed } from "./poll-feed.ts";
import type { ParsedTopic } from "./topics.ts";

export interface FeedsOptions {
  readonly call: <K extends Operation>(operation: K, request: Operations[K]["request"]) => Promise<Operations[K]["reply"]>;
  readonly watchChanges: WatchChanges;
  /** Calls back with the id of each foreign program that has changed. */
  readonly watchPrograms: (listener: (program: string) => void) => () => void;
  readonly clock: Clock;
}

const EVERY_MS = { groups: 500, group: 250, workers: 1_000, health: 1_000, events: 1_000, workflows: 3_000 };
const GROUPS = 200;
/** The list of groups has the beginning of each queue; all of it is on the group's page. */
const SHOWN_WAITING = 20;
/** A worker that says again that it is there is news only so often. */
const SEEN_EVERY_MS = 5_000;

export function createFeeds(options: FeedsOptions): (topic: ParsedTopic) => Feed {
  const { call, clock, watchPrograms } = options;
  const watchChanges = shareChanges(options.watchChanges);

  const watchVersions = (listener: (names: readonly string[]) => void): (() => void) => {
    let known: Map<string, string> | undefined;
    return poll(clock, EVERY_MS.workflows, async (isOver) => {
      const { items } = await call("workflow.list", {});
      if (isOver()) return;
      const now = new Map(items.map(({ name, version }) => [name, version]));
      const before = known;
      known = now;
      const changed = before === undefined ? [] : [...now.keys()].filter((name) => before.get(name) !== now.get(name));
      if (changed.length > 0) listener(changed);
    });
  };

  return (parsed) => {
    switch (parsed.kind) {
      case "runs":
        return runsFeed(watchChanges);
      case "run":
        return runFeed(parsed.run, watchChanges);
      case "workflows":
        return workflowsFeed(watchChanges, watchVersions);
      case "inspect":
        return inspectFeed(watchPrograms);
      case "groups":
        return pollFeed({
          event: "groups",
          everyMs: EVERY_MS.groups,
          clock,
          ask: async () => {
            const { items, total } = await call("group.list", { size: GROUPS });
            return { items: items.map(shortened), total };
          },
        });
      case "group":
        return pollFeed({
          event: "group",
          everyMs: EVERY_MS.group,
          clock,
          ask: () => call("group.get", { limit: parsed.limit, key: parsed.key }),
        });
      case "workers":
        return pollFeed({
          event: "workers",
          everyMs: EVERY_MS.workers,
          clock,
          ask: async () => ({ items: (await call("worker.list", {})).items }),
          signature: ({ items }) => JSON.stringify(items.map(withRoughTime)),
        });
      case "health":
        return pollFeed({
          event: "health",
          everyMs: EVERY_MS.health,
          clock,
          ask: () => call("health.get", {}).catch((error: unknown) => unreachable(error, clock.now())),
          signature: ({ at: _, historyBehindMs, ...health }) =>
            JSON.stringify({ ...health, historyBehindMs: Math.round(historyBehindMs / 500) }),
        });
      case "events":
        return pollFeed({
          event: "events",
          everyMs: EVERY_MS.events,
          clock,
          ask: async () => {
            const [events, rejected] = await Promise.all([
              call("event.list", { size: 1 }).catch(() => undefined),
              call("rejected.list", { size: 1 }).catch(() => undefined),
            ]);
            if (events === undefined && rejected === undefined) return undefined;
            const seq = events?.items[0]?.seq ?? 0;
            return { seq, ...(rejected?.items[0] !== undefined && { rejectedSeq: rejected.items[0].seq }) };
          },
        });
    }
  };
}

function shortened(group: GroupView): GroupView {
  return group.waitingRuns.length <= SHOWN_WAITING ? group : { ...group, waitingRuns: group.waitingRuns.slice(0, SHOWN_WAITING) };
}

function withRoughTime(worker: WorkerView): object {
  return { ...worker, lastSeenAt: Math.floor(Date.parse(worker.lastSeenAt) / SEEN_EVERY_MS) };
}

/** That no engine answers is what the health line has to say first of all. */
function unreachable(error: unknown, now: number): HealthView | undefined {
  const { status } = error as { readonly status?: unknown };
  if (!isSluiceError(error) || (status !== undefined && status !== 503)) return undefined;
  return {
    verdict: error.code === "NOT_CONNECTED" || error.code === "NATS_UNAVAILABLE" ? "disconnected" : "starting",
    sentence: error.message,
    at: new Date(now).toISOString(),
    live: 0,
    waiting: 0,
    active: 0,
    startsPerMinute: 0,
    finishesPerMinute: 0,
    slots: { used: 0, total: 0 },
    heldBackBy: [],
    noWorkerFor: [],
    historyBehindMs: 0,
    rejected: 0,
  };
}
