/** What streams of the dashboard are sent, in virtual time: coalescing, coming back after a cut, and nothing when nobody looks. */
import { beforeEach, describe, expect, test } from "vitest";
import type { RunChangeMessage } from "../../src/protocol/view.ts";
import { runFeed, runsFeed, shareChanges, workflowsFeed, type ChangeNews } from "../../src/server/live/change-feeds.ts";
import type { Feed } from "../../src/server/live/channel.ts";
import { LiveHub, type Stream } from "../../src/server/live/hub.ts";
import { pollFeed } from "../../src/server/live/poll-feed.ts";
import { parseTopics, type ParsedTopic } from "../../src/server/live/topics.ts";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";

interface Received {
  readonly id: string;
  readonly event: string;
  readonly data: any;
}

class Reader implements Stream {
  readonly received: Received[] = [];
  heartbeats = 0;

  send(id: string, body: Buffer): void {
    const [event, data] = body.toString().trimEnd().split("\n");
    this.received.push({
      id: id.slice("id: ".length).trimEnd(),
      event: event?.slice("event: ".length) ?? "",
      data: JSON.parse(data?.slice("data: ".length) ?? ""),
    });
  }

  heartbeat(): void {
    this.heartbeats++;
  }

  get events(): string[] {
    return this.received.map(({ event }) => event);
  }

  get lastId(): string {
    return this.received.at(-1)?.id ?? "";
  }

  of(event: string): any[] {
    return this.received.filter((one) => one.event === event).map(({ data }) => data);
  }
}

const START = 1_700_000_000_000;
let clock: VirtualClock;
/** Where changes of runs come from. */
let listeners: Set<(news: ChangeNews) => void>;
let state: { value: number };
let hub: LiveHub;

const watchChanges = (run: string | undefined, listener: (news: ChangeNews) => void): (() => void) => {
  const own = (news: ChangeNews): void => {
    if (run === undefined || news.run === run) listener(news);
  };
  listeners.add(own);
  return () => listeners.delete(own);
};

function change(run: string, fields: Partial<RunChangeMessage> = {}): void {
  const message: RunChangeMessage = {
    id: run,
    workflow: "answer",
    change: "started",
    at: new Date(clock.now()).toISOString(),
    status: "RUNNING",
    ...fields,
  };
  for (const listener of listeners) listener({ run, workflow: message.workflow, read: () => message });
}

/** Lets what was answered be taken up, without any time passing. */
const settle = async (): Promise<void> => {
  for (let i = 0; i < 10; i++) await Promise.resolve();
};

async function pass(ms: number): Promise<void> {
  const until = clock.now() + ms;
  await settle();
  for (let next = clock.nextDueMs; next !== undefined && next <= until; next = clock.nextDueMs) {
    clock.moveTo(next);
    await settle();
  }
  clock.moveTo(until);
  await settle();
}

function topics(text: string): readonly ParsedTopic[] {
  const parsed = parseTopics(text);
  if ("problem" in parsed) throw new Error(parsed.problem);
  return parsed.topics;
}

function watch(text: string, last?: string): { readonly reader: Reader; readonly end: () => void } {
  const reader = new Reader();
  return { reader, end: hub.watch(topics(text), last, reader) };
}

beforeEach(() => {
  clock = new VirtualClock(START);
  listeners = new Set();
  state = { value: 1 };
  const shared = shareChanges(watchChanges);
  const feedOf = (topic: ParsedTopic): Feed => {
    if (topic.kind === "runs") return runsFeed(shared);
    if (topic.kind === "run") return runFeed(topic.run, shared);
    if (topic.kind === "workflows") return workflowsFeed(shared, () => () => undefined);
    return pollFeed({
      event: "events",
      everyMs: 1_000,
      clock,
      ask: () => Promise.resolve({ seq: state.value }),
    });
  };
  hub = new LiveHub({ node: "n", startedAt: START, feedOf, clock });
});

describe("a stream", () => {
  test("begins with who is there", async () => {
    const { reader } = watch("runs");
    expect(reader.received).toEqual([
      { id: `${START.toString(36)}-0`, event: "hello", data: { node: "n", startedAt: new Date(START).toISOString() } },
    ]);
    await pass(1_000);
    expect(reader.events).toEqual(["hello"]);
  });

  test("gets a change soon, and of many changes at most four messages a second", async () => {
    const { reader } = watch("runs");
    change("r-0");
    await pass(20);
    expect(reader.of("runs")).toHaveLength(1);
    for (let ms = 0; ms < 10_000; ms += 10) {
      change(`r-${ms % 30}`);
      await pass(10);
    }
    const messages = reader.of("runs").length;
    expect(messages).toBeGreaterThan(36);
    expect(messages).toBeLessThanOrEqual(41);
  });

  test("gets only the newest change of each run, without its outputs", async () => {
    const { reader } = watch("runs");
    change("a", { change: "queued", status: "QUEUED" });
    change("b");
    change("a", { change: "succeeded", status: "SUCCEEDED", outputs: { large: "x" } });
    await pass(1_000);
    const [{ changes, more }] = reader.of("runs");
    expect(more).toBe(0);
    expect(changes).toMatchObject([{ id: "b" }, { id: "a", status: "SUCCEEDED" }]);
    expect(changes[1]).not.toHaveProperty("outputs");
  });

  test("gets the 1,000 runs that changed last, and how many there were besides", async () => {
    const { reader } = watch("runs");
    for (let i = 0; i < 5_000; i++) change(`r-${i}`);
    for (let i = 0; i < 10; i++) change(`r-${i}`);
    await pass(1_000);
    const [{ changes, more }] = reader.of("runs");
    expect(changes).toHaveLength(1_000);
    expect(changes.at(-1).id).toBe("r-9");
    expect(changes.length + more).toBe(5_000);
  });

  test("is told of its run alone", async () => {
    const { reader } = watch("run:mine");
    change("mine");
    change("other");
    change("mine", { status: "FAILED", change: "failed" });
    await pass(1_000);
    expect(reader.of("run")).toMatchObject([{ id: "mine", change: { status: "FAILED" } }]);
  });

  test("leaves alone what is no change", async () => {
    const { reader } = watch("runs");
    for (const listener of listeners) {
      listener({ run: "x", workflow: "answer", read: () => JSON.parse("{") });
      listener({ run: "y", workflow: "answer", read: () => ({ id: "another" }) as RunChangeMessage });
    }
    change("z");
    await pass(1_000);
    expect(reader.of("runs")).toMatchObject([{ changes: [{ id: "z" }] }]);
  });

  test("is told of a state only when it is another one, and who comes later is told of it at once", async () => {
    const { reader } = watch("events");
    await pass(10_000);
    expect(reader.of("events")).toEqual([{ seq: 1 }]);
    state.value = 2;
    await pass(1_100);
    expect(reader.of("events")).toEqual([{ seq: 1 }, { seq: 2 }]);
    const { reader: late } = watch("events");
    expect(late.of("events")).toEqual([{ seq: 2 }]);
  });

  test("is kept awake every 15 seconds", async () => {
    const { reader } = watch("runs");
    await pass(60_000);
    expect(reader.heartbeats).toBe(4);
  });
});

describe("a stream that comes back", () => {
  test("gets what it missed, in order, and nothing twice", async () => {
    const first = watch("runs");
    change("a");
    await pass(1_000);
    first.end();
    change("b");
    await pass(1_000);
    change("c");
    await pass(1_000);
    const second = watch("runs", first.reader.lastId);
    expect(second.reader.events).toEqual(["hello", "runs", "runs"]);
    expect(second.reader.of("runs")).toMatchObject([{ changes: [{ id: "b" }] }, { changes: [{ id: "c" }] }]);
    change("d");
    await pass(1_000);
    expect(second.reader.of("runs").at(-1)).toMatchObject({ changes: [{ id: "d" }] });
  });

  test("goes on from where it was also when it is cut again before it got anything", async () => {
    const first = watch("runs");
    change("a");
    await pass(1_000);
    first.end();
    change("b");
    await pass(1_000);
    const [hello] = watch("runs", first.reader.lastId).reader.received;
    expect(watch("runs", hello?.id).reader.of("runs")).toMatchObject([{ changes: [{ id: "b" }] }]);
  });

  test("is told to start anew after longer than topics go on without anybody", async () => {
    const first = watch("runs");
    change("a");
    await pass(1_000);
    first.end();
    await pass(20_000);
    change("b");
    const { reader } = watch("runs", first.reader.lastId);
    expect(reader.events).toEqual(["hello", "reset"]);
    change("c");
    await pass(1_000);
    expect(reader.of("runs")).toMatchObject([{ changes: [{ id: "c" }] }]);
  });

  test("is told so even where another stream has the topic by then", async () => {
    const first = watch("runs");
    change("a");
    await pass(1_000);
    first.end();
    await pass(20_000);
    watch("runs");
    change("b");
    await pass(1_000);
    expect(watch("runs", first.reader.lastId).reader.events).toEqual(["hello", "reset"]);
  });

  test("is told so when there was more than is kept", async () => {
    const first = watch("runs");
    change("a");
    await pass(1_000);
    first.end();
    const stays = watch("runs");
    for (let i = 0; i < 300; i++) {
      change(`r-${i}`);
      await pass(250);
    }
    expect(watch("runs", first.reader.lastId).reader.events).toEqual(["hello", "reset"]);
    expect(watch("runs", stays.reader.received.at(-3)?.id).reader.events).toEqual(["hello", "runs", "runs"]);
  });

  test.each(["another-5", "", "garbage", `${START.toString(36)}-999`, `${START.toString(36)}--1`])(
    "is told so with an id that is not one of ours: %j",
    (id) => {
      expect(watch("runs", id).reader.events).toEqual(["hello", "reset"]);
    },
  );

  test("is not told so for a topic that it did not have", async () => {
    const first = watch("events");
    await pass(3_000);
    first.end();
    const { reader } = watch("events,runs", first.reader.lastId);
    expect(reader.events).not.toContain("reset");
  });
});

describe("nobody looking", () => {
  test("has no timer run and nothing asked, from 15 seconds on after the last one", async () => {
    expect(clock.nextDueMs).toBeUndefined();
    const [one, two] = [watch("runs,events,run:a,workflows"), watch("runs")];
    await pass(5_000);
    expect(listeners.size).toBe(2);
    one.end();
    one.end();
    two.end();
    await pass(15_000);
    expect({ topics: hub.topics, streams: hub.streams, listeners: listeners.size, timer: clock.nextDueMs }).toEqual({
      topics: [],
      streams: 0,
      listeners: 0,
      timer: undefined,
    });
  });

  test("has all of it end at once with the hub", async () => {
    watch("runs,events");
    await pass(5_000);
    hub.stop();
    await pass(0);
    expect(clock.nextDueMs).toBeUndefined();
    expect(listeners.size).toBe(0);
  });
});

describe("topics", () => {
  test("are named in the address, each encoded", () => {
    expect(topics(`runs,${encodeURIComponent("group:tenant/a,b/ü")},run:r-1`)).toEqual([
      { kind: "runs", topic: "runs" },
      { kind: "group", topic: "group:tenant/a,b/ü", limit: "tenant", key: "a,b/ü" },
      { kind: "run", topic: "run:r-1", run: "r-1" },
    ]);
  });

  test.each(["", ",", "all", "run:", "run:a.b", "run:*", "run:>", "group:x", "group:/x", "group:x/", "%", "__proto__"])(
    "%j is none",
    (text) => {
      expect(parseTopics(text)).toHaveProperty("problem");
    },
  );

  test("are no more than 50", () => {
    expect(parseTopics(Array.from({ length: 51 }, (_, i) => `run:r-${i}`).join(","))).toHaveProperty("problem");
  });
});

test("what takes long to answer is asked for less often", async () => {
  let asked = 0;
  const feed = pollFeed({
    event: "events",
    everyMs: 100,
    clock,
    ask: () => {
      asked++;
      return new Promise<{ seq: number }>((resolve) => clock.setTimer(() => resolve({ seq: asked }), 200));
    },
  });
  const end = feed.start(() => undefined);
  await pass(9_000);
  end();
  expect(asked).toBe(5);
});
