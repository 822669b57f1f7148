/**
 * Topics that live from what is told of each change: of runs, as engines publish them, and of foreign programs. At full speed there are tens of thousands a second, so a
 * change is parsed only when it is sent: until then its subject says what it is about.
 */
import type { LiveMessages } from "../../protocol/live.ts";
import type { RunChangeMessage } from "../../protocol/view.ts";
import type { Feed } from "./channel.ts";

/** A change as it came. */
export interface ChangeNews {
  readonly workflow: string;
  readonly run: string;
  /** Parses it. Throws where it is not what it should be. */
  read(): RunChangeMessage;
}

/** Calls back for every change of one run, or of all, until the returned function is called. */
export type WatchChanges = (run: string | undefined, listener: (news: ChangeNews) => void) => () => void;

const MOST_RUNS = 1_000;
/** Beyond so many, runs that changed besides are counted more than once. */
const MOST_COUNTED = 20_000;

/** The newest change per run; of the runs, those that changed last. */
export function runsFeed(watchChanges: WatchChanges): Feed {
  const newest = new Map<string, ChangeNews>();
  const besides = new Set<string>();
  let uncounted = 0;
  return {
    kind: "changes",
    start: (changed) =>
      watchChanges(undefined, (news) => {
        newest.delete(news.run);
        newest.set(news.run, news);
        if (newest.size > MOST_RUNS) {
          const [oldest] = newest.keys();
          if (oldest !== undefined) {
            newest.delete(oldest);
            if (besides.size < MOST_COUNTED) besides.add(oldest);
            else uncounted++;
          }
        }
        changed();
      }),
    take() {
      const changes: RunChangeMessage[] = [];
      for (const news of newest.values()) {
        const change = readChange(news);
        if (change !== undefined) changes.push(change);
      }
      let more = uncounted;
      for (const run of besides) if (!newest.has(run)) more++;
      newest.clear();
      besides.clear();
      uncounted = 0;
      return changes.length === 0 ? undefined : { event: "runs", data: { changes, more } satisfies LiveMessages["runs"] };
    },
  };
}

export function runFeed(run: string, watchChanges: WatchChanges): Feed {
  let newest: ChangeNews | undefined;
  return {
    kind: "changes",
    start: (changed) =>
      watchChanges(run, (news) => {
        newest = news;
        changed();
      }),
    take() {
      const change = newest === undefined ? undefined : readChange(newest);
      newest = undefined;
      return change === undefined ? undefined : { event: "run", data: { id: run, change } satisfies LiveMessages["run"] };
    },
  };
}

/** Workflows whose runs have changed, or that have got a new version (`watchVersions` says which). */
export function workflowsFeed(
  watchChanges: WatchChanges,
  watchVersions: (listener: (names: readonly string[]) => void) => () => void,
): Feed {
  const names = new Set<string>();
  return {
    kind: "changes",
    start(changed) {
      const ends = [
        watchChanges(undefined, ({ workflow }) => {
          names.add(workflow);
          changed();
        }),
        watchVersions((found) => {
          for (const name of found) names.add(name);
          changed();
        }),
      ];
      return () => ends.forEach((end) => end());
    },
    take() {
      const found = [...names];
      names.clear();
      return found.length === 0 ? undefined : { event: "workflows", data: { names: found } satisfies LiveMessages["workflows"] };
    },
  };
}

/** Foreign programs whose actors have changed. */
export function inspectFeed(watchPrograms: (listener: (program: string) => void) => () => void): Feed {
  const sessions = new Set<string>();
  return {
    kind: "changes",
    start: (changed) =>
      watchPrograms((program) => {
        sessions.add(program);
        changed();
      }),
    take() {
      const found = [...sessions];
      sessions.clear();
      return found.length === 0 ? undefined : { event: "inspect", data: { sessions: found } satisfies LiveMessages["inspect"] };
    },
  };
}

/** One subscription for all who want every change. */
export function shareChanges(watchChanges: WatchChanges): WatchChanges {
  const listeners = new Set<(news: ChangeNews) => void>();
  let end: (() => void) | undefined;
  return (run, listener) => {
    if (run !== undefined) return watchChanges(run, listener);
    const own = (news: ChangeNews): void => listener(news);
    listeners.add(own);
    end ??= watchChanges(undefined, (news) => {
      for (const one of listeners) one(news);
    });
    return () => {
      listeners.delete(own);
      if (listeners.size > 0) return;
      end?.();
      end = undefined;
    };
  };
}

/** Anyone may publish there: what is no change is left alone. Outputs are asked for with the run, which may redact them. */
function readChange(news: ChangeNews): RunChangeMessage | undefined {
  try {
    const { outputs: _, ...change } = news.read();
    return change.id === news.run && typeof change.status === "string" && typeof change.at === "string" ? change : undefined;
  } catch {
    return undefined;
  }
}
