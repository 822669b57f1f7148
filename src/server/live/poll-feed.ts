/**
 * A topic that is asked for again and again while it is watched, and told of when the answer is another one. What takes long
 * is asked for less often, so that watching never costs more than a share of one processor.
 */
import type { Clock } from "../../clock.ts";
import type { LiveEvent, LiveMessages } from "../../protocol/live.ts";
import type { Feed } from "./channel.ts";

export interface PollOptions<E extends LiveEvent> {
  readonly event: E;
  readonly everyMs: number;
  readonly clock: Clock;
  /** What it throws counts as no answer. */
  readonly ask: () => Promise<LiveMessages[E] | undefined>;
  /** Equal for answers that say the same. Default: their JSON. */
  readonly signature?: (answer: LiveMessages[E]) => string;
}

/** An answer that took so long is asked for again after this many times as long. */
const REST_FACTOR = 9;
/** … but not much later: it may have waited for an engine that has come back meanwhile. */
const MAX_REST_MS = 3_000;

export function pollFeed<E extends LiveEvent>(options: PollOptions<E>): Feed {
  const { event, signature = JSON.stringify } = options;
  let news: LiveMessages[E] | undefined;
  let told: string | undefined;
  return {
    kind: "state",
    start: (changed) =>
      poll(options.clock, options.everyMs, async (isOver) => {
        const answer = await options.ask().catch(() => undefined);
        if (answer === undefined || isOver()) return;
        const says = signature(answer);
        if (says === told) return;
        told = says;
        news = answer;
        changed();
      }),
    take() {
      const data = news;
      news = undefined;
      return data === undefined ? undefined : { event, data };
    },
  };
}

/** Asks at once, and then again and again, one after the other, until the returned function is called. */
export function poll(clock: Clock, everyMs: number, ask: (isOver: () => boolean) => Promise<void>): () => void {
  let over = false;
  let cancel: (() => void) | undefined;
  const round = async (): Promise<void> => {
    const began = clock.now();
    await ask(() => over).catch(() => undefined);
    if (over) return;
    cancel = clock.setTimer(() => void round(), Math.max(everyMs, Math.min(MAX_REST_MS, (clock.now() - began) * REST_FACTOR)));
  };
  void round();
  return () => {
    over = true;
    cancel?.();
  };
}
