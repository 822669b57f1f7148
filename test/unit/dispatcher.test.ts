/** What one engine node makes of what workers say. */
import { pino } from "pino";
import { describe, expect, it } from "vitest";
import type { SlotSource } from "../../src/engine/core/slot-source.ts";
import { Dispatcher } from "../../src/engine/dispatcher.ts";
import type { Attempt, ReadyStep, Run } from "../../src/engine/run.ts";
import type { WorkerStatus } from "../../src/protocol/work.ts";

const RUN = { run: "r", order: 1, workflow: { name: "w", spec: { version: "1" } } } as unknown as Run;

function status(more: Partial<WorkerStatus> = {}): WorkerStatus {
  return {
    id: "w1",
    name: "w1",
    mode: "running",
    slots: 2,
    used: 0,
    heartbeatMs: 1_000,
    deadlineMs: 3_000,
    startedAt: "",
    host: "",
    pid: 1,
    sluiceVersion: "",
    workflows: [{ name: "w", version: "1", steps: ["do"] }],
    ...more,
  };
}

function attempt(id: string, worker = "w1"): Attempt {
  return { id, step: "do", worker, number: 1, assignedAt: 0, over: false };
}

let steps = 0;
function step(flow = "A", partition = 0): ReadyStep {
  const order = ++steps;
  return { partition, run: RUN, step: "do", handler: "w do", priority: 0, order, flow, since: 0 };
}

function setup({ all = true, epochs = { 0: 3, 1: 5 } as Record<number, number | undefined> } = {}) {
  const news: string[] = [];
  const offers: { readonly step: ReadyStep; readonly worker: string; readonly refused: () => void }[] = [];
  const clock = { now: 0 };
  const dispatcher = new Dispatcher(
    {
      self: () => "n1",
      ownership: { epochOf: (partition) => epochs[partition], all },
      offer: (step, worker, refused) => void offers.push({ step, worker, refused }),
      giveBack: ({ attempt: { id } }) => void news.push(`returned ${id}`),
      missing: ({ attempt: { id } }) => void news.push(`missing ${id}`),
      lost: (held) => void news.push(`lost ${held.map(({ attempt }) => attempt.id).join()}`),
      ask: (worker) => void news.push(`ask ${worker}`),
      stop: (worker, attempts) => void news.push(`stop ${worker} ${attempts.map(({ id }) => id).join()}`),
      now: () => clock.now,
      transport: { send: () => undefined, setTimer: () => () => undefined, defer: () => undefined, now: () => clock.now },
    },
    pino({ level: "silent" }),
  );
  dispatcher.setCoordinator("n1");
  const slots = dispatcher.slotsFor(0);
  return { dispatcher, slots, offers, clock, news: () => news.splice(0) };
}

/** A step is handed over. */
function give(slots: SlotSource, id: string): Attempt {
  const worker = slots.request(step());
  if (worker === undefined) throw new Error("there is no slot");
  const given = attempt(id, worker);
  slots.adopt(given, RUN, false);
  return given;
}

describe("a worker that uses more slots than is known", () => {
  it("is asked what it executes, and told to stop what is over", () => {
    const { dispatcher, slots, news } = setup();
    dispatcher.report(status());
    const kept = give(slots, "kept");
    dispatcher.report(status({ used: 1 }));
    expect(news()).toEqual([]);
    dispatcher.report(status({ used: 2 }));
    expect(news()).toEqual(["ask w1"]);
    const attempts = [
      { id: "kept", partition: 0 },
      { id: "over", partition: 0 },
    ];
    dispatcher.report(status({ used: 2, attempts, epochs: { 0: 3 } }));
    expect(news()).toEqual(["stop w1 over"]);
    slots.release(kept);
    expect(dispatcher.capacity()).toEqual({ workers: 1, slots: { used: 0, total: 2 } });
  });

  it("is not asked by a node that cannot know all who use it", () => {
    const { dispatcher, news } = setup({ all: false });
    dispatcher.setCoordinator(undefined);
    dispatcher.report(status({ used: 2 }));
    expect(news()).toEqual([]);
  });

  it("gets no more than it has room for, until it has said that what it used is over", () => {
    const { dispatcher, slots, offers } = setup();
    dispatcher.report(status({ used: 1 }));
    give(slots, "a");
    expect(slots.request(step())).toBeUndefined();
    dispatcher.report(status({ used: 1 }));
    expect(offers).toHaveLength(1);
  });

  it("is trusted with all of its slots though its word is out of date", () => {
    const { dispatcher, slots } = setup();
    dispatcher.report(status());
    const [a, b] = [give(slots, "a"), give(slots, "b")];
    slots.release(a);
    slots.release(b);
    // From before these results.
    dispatcher.report(status({ used: 2 }));
    give(slots, "c");
    give(slots, "d");
  });
});

describe("a slot that a worker refused", () => {
  it("is offered only after the worker's next report", () => {
    const { dispatcher, slots, offers, news } = setup();
    dispatcher.report(status());
    const refused = give(slots, "a");
    dispatcher.answered("w1", [{ attemptId: "a", reason: "slots" }]);
    expect(news()).toEqual(["returned a"]);
    slots.release(refused);
    const again = step();
    expect(slots.request(again)).toBeUndefined();
    dispatcher.pump();
    expect(offers).toHaveLength(0);
    dispatcher.report(status());
    expect(offers.map(({ step }) => step)).toEqual([again]);
  });

  it("is offered when another of its attempts has ended, too", () => {
    const { dispatcher, slots, offers } = setup();
    dispatcher.report(status());
    const ended = give(slots, "a");
    const refused = give(slots, "b");
    dispatcher.answered("w1", [{ attemptId: "b", reason: "slots" }]);
    slots.release(refused);
    slots.request(step());
    slots.release(ended);
    dispatcher.pump();
    expect(offers).toHaveLength(1);
  });

  it("for a later owner of the partition stays what it is: the journal's fence decides", () => {
    const { dispatcher, slots, news } = setup();
    dispatcher.report(status());
    give(slots, "a");
    dispatcher.answered("w1", [{ attemptId: "a", reason: "epoch" }]);
    expect(news()).toEqual([]);
    expect(dispatcher.holds("w1", "a")).toBe(true);
  });
});

describe("attempts of an earlier owner", () => {
  it("are judged only by what a worker says that knows of this owner", () => {
    const { dispatcher, slots, news } = setup({ all: false });
    slots.adopt(attempt("recovered"), RUN, true);
    slots.adopt(attempt("lost"), RUN, true);
    const attempts = [
      { id: "recovered", partition: 0 },
      { id: "old", partition: 0 },
      { id: "other", partition: 7 },
    ];
    // It may still get what the owner before has sent.
    dispatcher.report(status({ used: 3, attempts, epochs: { 0: 2, 7: 1 } }));
    expect(news()).toEqual([]);
    dispatcher.report(status({ used: 3, attempts, epochs: { 0: 3, 7: 1 } }));
    expect(news()).toEqual(["missing lost", "stop w1 old"]);
    // Confirmed, and asked about once.
    dispatcher.report(status({ used: 0, attempts: [], epochs: { 0: 3 } }));
    expect(news()).toEqual([]);
    // Unless messages were lost again.
    dispatcher.distrust();
    dispatcher.report(status({ used: 0, attempts: [], epochs: { 0: 3 } }));
    expect(news()).toEqual(["missing recovered", "missing lost"]);
  });

  it("are known by their ids alone from workers of the release before", () => {
    for (const all of [true, false]) {
      const { dispatcher, slots, news } = setup({ all });
      slots.adopt(attempt("recovered"), RUN, true);
      slots.adopt(attempt("lost"), RUN, true);
      dispatcher.report(status({ used: 2, attempts: ["recovered", "old"] }));
      // Whose the others are, it does not say.
      expect(news()).toEqual(all ? ["missing lost", "stop w1 old"] : ["missing lost"]);
    }
  });

  it("go to others when their worker says nothing", () => {
    const { dispatcher, slots, news, clock } = setup();
    slots.adopt(attempt("a", "gone"), RUN, true);
    clock.now = 3_000;
    dispatcher.expire();
    expect(news()).toEqual([]);
    clock.now = 3_001;
    dispatcher.expire();
    expect(news()).toEqual(["lost a"]);
  });
});

describe("a partition that leaves its node", () => {
  it("is forgotten without a word, and what it was promised is free", () => {
    const { dispatcher, slots, offers, news } = setup();
    dispatcher.report(status());
    const held = give(slots, "a");
    const promised = slots.request(step());
    const waiting = step();
    slots.request(waiting);
    expect(dispatcher.waiting).toBe(1);
    dispatcher.dropPartition(0);
    expect(dispatcher.waiting).toBe(0);
    expect(dispatcher.holds("w1", "a")).toBe(false);
    // Whatever it says now comes too late.
    slots.release(held);
    slots.unreserve(promised ?? "");
    slots.withdraw(waiting);
    slots.adopt(attempt("b"), RUN, false);
    expect(slots.request(step())).toBeUndefined();
    expect(news()).toEqual([]);
    // The worker goes on with the attempt: one slot is left until its new owner, or the worker, says otherwise.
    const other = dispatcher.slotsFor(1);
    expect(other.request(step("A", 1))).toBe("w1");
    expect(other.request(step("A", 1))).toBeUndefined();
    expect(offers).toHaveLength(0);
    other.adopt(attempt("a"), RUN, true);
    dispatcher.pump();
    expect(offers).toHaveLength(0);
    dispatcher.report(status({ used: 0 }));
    other.release(attempt("a"));
    dispatcher.pump();
    expect(offers).toHaveLength(1);
    offers[0]?.refused();
    offers[0]?.refused();
  });
});

describe("steps that wait", () => {
  it("are counted by whether a worker serves them", () => {
    const { dispatcher, slots } = setup();
    slots.request(step());
    expect([dispatcher.waiting, dispatcher.unserved()]).toEqual([0, [{ workflow: "w", step: "do", waiting: 1 }]]);
    dispatcher.report(status({ slots: 0 }));
    expect([dispatcher.waiting, dispatcher.unserved()]).toEqual([1, []]);
    dispatcher.report(status({ mode: "stopped" }));
    expect([dispatcher.waiting, dispatcher.unserved()]).toEqual([0, [{ workflow: "w", step: "do", waiting: 1 }]]);
  });

  it("keep their turns: whoever took the last slot without waiting has had one", () => {
    const { dispatcher, slots, offers } = setup();
    dispatcher.report(status({ slots: 1 }));
    const first = attempt("a", slots.request(step("A")) ?? "");
    slots.adopt(first, RUN, false);
    slots.request(step("A"));
    slots.request(step("B"));
    slots.release(first);
    dispatcher.pump();
    expect(offers.map(({ step }) => step.flow)).toEqual(["B"]);
  });
});

it("goes on, whatever other nodes say", () => {
  const { dispatcher, slots, offers } = setup();
  dispatcher.setNodes(["n1", "n2"]);
  const texts = [
    "",
    "null",
    "[]",
    "1",
    "{}",
    '{"s":1}',
    '{"s":1,"n":1,"got":0,"ops":[["held",null]]}',
    '{"s":1,"n":1,"got":0,"ops":[["held",{}],["want",1,2]]}',
    '{"s":1,"n":1,"got":0,"ops":[["held",{}],["free","w1"]]}',
    '{"s":1,"n":1,"offers":[[1]]}',
    '{"s":1,"n":1,"offers":[["1","w1"]]}',
    '{"s":1,"ask":1}',
    '{"s":-1,"n":2}',
  ];
  for (const text of texts) dispatcher.receive("n2", text);
  slots.request(step());
  dispatcher.setCoordinator("n2");
  for (const text of texts) dispatcher.receive("n2", text);
  dispatcher.setCoordinator("n1");
  dispatcher.report(status());
  expect(offers).toHaveLength(1);
  dispatcher.stop();
});
