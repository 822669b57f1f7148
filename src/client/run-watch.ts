/**
 * Following one run: its changes as they are published, and its state whenever something may have been missed. Changes are
 * plain NATS messages, so they are lost while disconnected or when an engine dies between recording and publishing; what
 * counts is the state, and a watch always comes to it.
 *
 * Each watch has a subscription of its own, for its run alone. A single one per client on all runs would be cheaper to set
 * up, but would carry every change of every run in the cluster to whoever waits for one.
 */
import { isEngineUnavailableError, isNotConnectedError, isTimeoutError } from "../errors.ts";
import type { RunChange, RunChangeMessage, RunStatus, RunView } from "../protocol/view.ts";

export interface WatchTransport {
  /** Calls back with the changes of the run from now on; the returned function ends that. */
  subscribe(run: string, workflow: string | undefined, listener: (change: RunChangeMessage) => void): () => void;
  get(run: string): Promise<RunView>;
  /** Calls back whenever changes may have been missed: reconnected, an engine has started. */
  onMissed(listener: () => void): () => void;
  readonly isClosed: boolean;
}

export interface WatchListener {
  /** In order, without gaps only where nothing was lost; the first is the run as it is when the watch begins. */
  change?(change: RunChangeMessage): void;
  /** The end of the watch: the run has ended. With the view only where it was asked for. */
  ended(end: RunEnd): void;
  /** The end of the watch: the run's state cannot be had. */
  failed(error: unknown): void;
}

/** How a run has ended. */
export type RunEnd = Pick<RunView, "workflow" | "status" | "reason" | "outputs" | "error">;

const FINAL: Readonly<Partial<Record<RunStatus, RunChange>>> = {
  SUCCEEDED: "succeeded",
  FAILED: "failed",
  CANCELLED: "cancelled",
};
/** Asks for the state this often even if nothing seems to be missing. */
const ASK_EVERY_MS = 15_000;
const RETRY_MS = 250;

export interface WatchOptions {
  readonly askEveryMs?: number;
}

/** Follows a run to its end, or until the returned function is called. Subscribes before it asks, so that nothing is missed. */
export function watchRun(
  transport: WatchTransport,
  run: { readonly id: string; readonly workflow?: string | undefined },
  listener: WatchListener,
  { askEveryMs = ASK_EVERY_MS }: WatchOptions = {},
): () => void {
  let over = false;
  let asking = false;
  let askAgain = false;
  /** Changes that came before the first state, which may be newer than they are. */
  let early: RunChangeMessage[] | undefined = [];
  let timer: NodeJS.Timeout | undefined;

  const stop = (): void => {
    if (over) return;
    over = true;
    clearTimeout(timer);
    unsubscribe();
    forget();
  };
  const end = (how: RunEnd): void => {
    stop();
    listener.ended(how);
  };

  const receive = (change: RunChangeMessage): void => {
    if (over) return;
    // Large outputs are left out of the message: the state has them.
    if (change.status === "SUCCEEDED" && change.outputs === undefined) return ask();
    if (early !== undefined) early.push(change);
    else listener.change?.(change);
    if (FINAL[change.status] === undefined) return;
    flushEarly();
    end(change);
  };

  const flushEarly = (): boolean => {
    const changes = early ?? [];
    early = undefined;
    for (const change of changes) if (!over) listener.change?.(change);
    return changes.length > 0;
  };

  const ask = (): void => {
    if (over) return;
    if (asking) {
      askAgain = true;
      return;
    }
    asking = true;
    clearTimeout(timer);
    transport.get(run.id).then(
      (view) => {
        asking = false;
        if (over) return;
        const told = early === undefined || flushEarly();
        if (over) return;
        const last = FINAL[view.status];
        if (last !== undefined) {
          listener.change?.(changeOf(view));
          if (!over) end(view);
          return;
        }
        if (!told) listener.change?.(changeOf(view));
        askLater(askAgain ? 0 : askEveryMs);
      },
      (error: unknown) => {
        asking = false;
        if (over) return;
        const passing = isEngineUnavailableError(error) || isTimeoutError(error) || isNotConnectedError(error);
        if (passing && !transport.isClosed) return askLater(RETRY_MS);
        stop();
        listener.failed(error);
      },
    );
  };
  const askLater = (ms: number): void => {
    askAgain = false;
    if (!over) timer = setTimeout(ask, ms);
  };

  const unsubscribe = transport.subscribe(run.id, run.workflow, receive);
  const forget = transport.onMissed(ask);
  ask();
  return stop;
}

/** A run's present state in the form of its latest change. */
function changeOf(view: RunView): RunChangeMessage {
  const running: RunChange = view.startedAt === undefined ? "admitted" : "started";
  return {
    id: view.id,
    workflow: view.workflow,
    change: FINAL[view.status] ?? (view.status === "QUEUED" ? "queued" : running),
    at: view.finishedAt ?? view.startedAt ?? view.admittedAt ?? view.createdAt,
    status: view.status,
    ...(view.reason === undefined ? {} : { reason: view.reason }),
    ...(view.outputs === undefined ? {} : { outputs: view.outputs }),
    ...(view.error === undefined ? {} : { error: view.error }),
  };
}
