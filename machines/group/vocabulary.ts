/**
 * The words that the charts of all strategies are written in: guards (questions to the context), decisions (data for the
 * supervisor) and changes of the context. A strategy is how its chart puts them together; nothing here knows a strategy.
 */
import { assign, setup } from "xstate";
import * as group from "./context.ts";
import type { CancelCause, Entry, GroupContext, GroupEvent } from "./contract.ts";

export interface DecisionArgs {
  readonly context: GroupContext;
  readonly event: GroupEvent;
}

/** The run that the event is about. */
function subject(event: GroupEvent): Entry {
  if ("entry" in event) return event.entry;
  throw new TypeError(`expected an event about a run, got ${event.type}`);
}

/** The run that is next in turn. Only used behind guards that have seen it. */
function next(context: GroupContext): Entry {
  return context.waiting.peek()!;
}

/** The run to give up. Only used behind guards that have seen it. */
function evicted(context: GroupContext): Entry {
  return group.nextToEvict(context)!;
}

const decide = () => {};

export const vocabulary = setup({
  types: {} as { context: GroupContext; events: GroupEvent; input: GroupContext },
  actions: {
    // Decisions: carried out by the supervisor, so nothing happens here.
    admit: decide as (_: unknown, params: { entry: Entry }) => void,
    queue: decide as (_: unknown, params: { entry: Entry }) => void,
    propose: decide as (_: unknown, params: { entry: Entry }) => void,
    cancel: decide as (_: unknown, params: { entry: Entry; active: boolean; cause: CancelCause; by?: string }) => void,

    // Changes. A transition has one at most, and has it last, so that its decisions see the context as it was.
    activate: assign(({ context, event }) => group.admit(context, subject(event))),
    activateNext: assign(({ context }) => group.admit(context, next(context))),
    enqueue: assign(({ context, event }) => group.enqueue(context, subject(event))),
    enqueueAndEvict: assign(({ context, event }) => group.cancel(group.enqueue(context, subject(event)), evicted(context))),
    evict: assign(({ context }) => group.cancel(context, evicted(context))),
    handOver: assign(({ context, event }) => group.handOver(context, subject(event), next(context))),
    hold: assign(({ context, event }) => group.hold(context, subject(event))),
    markStopping: assign(({ context, event }) => group.markStopping(context, subject(event))),
    offer: assign(({ context, event }) => group.offer(context, subject(event))),
    pause: assign(({ context }) => group.setPaused(context, true)),
    release: assign(({ context, event }) => group.release(context, subject(event))),
    resume: assign(({ context }) => group.setPaused(context, false)),
    awaitAnswer: assign(({ context, event }) => group.propose(context, subject(event))),
    awaitAnswerForNext: assign(({ context }) => group.propose(context, next(context))),
    setMaxRuns: assign(({ context, event }) =>
      event.type === "limit.changed" ? group.setMaxRuns(context, event.maxRuns) : context,
    ),
    withdraw: assign(({ context, event }) => group.withdraw(context, subject(event))),
  },
  guards: {
    /** The run has limits besides this one. */
    isGated: ({ event }) => subject(event).gated,
    holdsNoSlot: ({ context, event }) => !context.active.has(subject(event)),
    doesNotWait: ({ context, event }) => !context.waiting.has(subject(event)) && !context.held.has(subject(event)),
    /** A newcomer, and as many wait as may. */
    doesNotFit: ({ context, event }) => group.isCrowded(context) && !context.evictable.has(subject(event)),
    isPaused: ({ context }) => context.paused,
    hasRoom: ({ context }) => group.hasRoom(context),
    takesLastSlot: ({ context }) => context.active.size + 1 >= context.maxRuns,
    isOccupied: ({ context }) => group.isOccupied(context),
    awaitsAnswer: ({ context }) => context.proposed !== undefined,
    roomAndWaiting: ({ context }) => group.hasRoom(context) && context.waiting.size > 0,
    roomAndWaitingGated: ({ context }) => group.hasRoom(context) && context.waiting.peek()?.gated === true,
    /** The slot of the run that ends goes straight to the next one … */
    nextTakesOver: ({ context }) => context.active.size <= context.maxRuns && context.waiting.peek()?.gated === false,
    /** … or stays free, since nobody waits. */
    leavesRoom: ({ context }) => context.active.size <= context.maxRuns && context.waiting.size === 0,
    /** One more in the reach of eviction would be one too many. */
    isCrowded: ({ context }) => group.isCrowded(context),
    isOvercrowded: ({ context }) => group.isOvercrowded(context),
    /** Crowded, and all that could be evicted rank above the newcomer. */
    isOutranked: ({ context, event }) => group.isOutranked(context, subject(event)),
  },
});

// Decisions with what they are about.

const ofSubject = ({ event }: DecisionArgs) => ({ entry: subject(event) });
const ofNext = ({ context }: DecisionArgs) => ({ entry: next(context) });

export const admitNewcomer = { type: "admit", params: ofSubject } as const;
export const admitNext = { type: "admit", params: ofNext } as const;
export const queueSubject = { type: "queue", params: ofSubject } as const;
export const proposeNewcomer = { type: "propose", params: ofSubject } as const;
export const proposeNext = { type: "propose", params: ofNext } as const;

/** The newcomer is cancelled before it was taken in. */
export const refuseFull = {
  type: "cancel",
  params: ({ event }: DecisionArgs) => ({ entry: subject(event), active: false, cause: "full" as const }),
} as const;

export const refuseOutranked = {
  type: "cancel",
  params: ({ context, event }: DecisionArgs) => ({
    entry: subject(event),
    active: false,
    cause: "outranked" as const,
    by: evicted(context).run,
  }),
} as const;

/** What is to be given up goes, because of the run that the event is about or because the limit is lower now. */
export const cancelEvicted = {
  type: "cancel",
  params: ({ context, event }: DecisionArgs) => {
    const entry = evicted(context);
    const active = context.active.has(entry);
    if (!("entry" in event)) return { entry, active, cause: "limit lowered" as const };
    if (event.entry.order === entry.order) return { entry, active, cause: "full" as const };
    return { entry, active, cause: "superseded" as const, by: event.entry.run };
  },
} as const;
