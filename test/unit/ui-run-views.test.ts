/** What the views of the run page show, from records as the history makes them. */
import { describe, expect, it } from "vitest";
import type { RunFrame } from "../../src/protocol/record.ts";
import { labelOf } from "../../src/ui/run/model/event-label.ts";
import { lifeOf } from "../../src/ui/run/model/life.ts";
import { filterLog, logRow } from "../../src/ui/run/model/log.ts";
import { sequenceOf, shortLabel } from "../../src/ui/run/model/sequence.ts";
import { axisLength, panned, ticksOf, zoomed } from "../../src/ui/run/model/time-axis.ts";
import { timelineOf } from "../../src/ui/run/model/timeline.ts";
import {
  cancelledRecord,
  diamondRecord,
  DIAMOND,
  event,
  longRecord,
  recordWith,
  started,
  stepOf,
  workflowOf,
} from "../support/run-lives.ts";

const CREATED = { k: "created", wf: "answer", ver: "v1", phase: "active", keys: ["ada"], input: {} };
const lane = (record: Parameters<typeof lifeOf>[0], step: string) =>
  timelineOf(lifeOf(record))
    .lanes.find((one) => one.step === step)
    ?.segments.map(({ kind, from, to, attempt, outcome }) => ({
      kind,
      from,
      to,
      ...(attempt !== undefined && { attempt }),
      ...(outcome !== undefined && { outcome }),
    }));

describe("the timeline", () => {
  it("shows the wait of the run in its group apart from its being active", () => {
    expect(lane(diamondRecord(), "")).toEqual([
      { kind: "waiting", from: 0, to: 400, outcome: "admitted" },
      { kind: "active", from: 400, to: 2_000, outcome: "succeeded" },
    ]);
  });

  it("shows each attempt of a step, its wait for a worker, and the backoff between two", () => {
    expect(lane(diamondRecord(), "rank")).toEqual([
      { kind: "ready", from: 600, to: 602, attempt: 1 },
      { kind: "running", from: 602, to: 700, attempt: 1, outcome: "failed" },
      { kind: "backoff", from: 700, to: 1_200, attempt: 1 },
      { kind: "ready", from: 1_200, to: 1_201, attempt: 2 },
      { kind: "running", from: 1_201, to: 1_500, attempt: 2, outcome: "succeeded" },
    ]);
    const [failed] = timelineOf(lifeOf(diamondRecord())).lanes[2]?.segments.filter(({ outcome }) => outcome === "failed") ?? [];
    expect(failed?.error?.message).toBe("the model is busy");
    expect(failed?.worker).toBe("w-1");
    // By the clock of its worker, which need not be the engine's.
    expect(failed?.workMs).toBe(98);
  });

  it("shows a cancel, and the time until the worker has stopped", () => {
    expect(lane(cancelledRecord(), "write")?.slice(1)).toEqual([
      { kind: "running", from: 101, to: 900, attempt: 1, outcome: "told to stop" },
      { kind: "stopping", from: 900, to: 980, attempt: 1, outcome: "stopped" },
    ]);
    const { marks } = timelineOf(lifeOf(cancelledRecord()));
    expect(marks.map(({ kind, at }) => [kind, at])).toEqual([
      ["cancel", 900],
      ["end", 980],
    ]);
    expect(marks[0]?.text).toContain("its group (answer/ada)");
  });

  it("shows attempts whose worker was lost, that were handed back, and that ran out of time", () => {
    const spec = workflowOf([stepOf("slow", [], { timeoutMs: 1_000, retries: 1 })]);
    const record = recordWith(spec, [
      [0, CREATED],
      started(1, "slow"),
      event(10, "step.lost.slow"),
      started(20, "slow", "w-2"),
      event(30, "step.returned.slow"),
      started(40, "slow", "w-3"),
      event(1_040, "xstate.after.1000.run.running.slow.attempt.executing"),
      event(1_060, "step.stopped.slow"),
    ]);
    expect(lane(record, "slow")?.filter(({ kind }) => kind !== "ready")).toEqual([
      { kind: "running", from: 1, to: 10, attempt: 1, outcome: "lost" },
      { kind: "running", from: 20, to: 30, attempt: 2, outcome: "returned" },
      { kind: "running", from: 40, to: 1_040, attempt: 2, outcome: "timed out" },
      { kind: "stopping", from: 1_040, to: 1_060, attempt: 2, outcome: "stopped" },
      { kind: "backoff", from: 1_060, to: undefined, attempt: 2 },
    ]);
    expect(timelineOf(lifeOf(record)).open).toBe(true);
  });

  it("shows what is known of a version that nobody knows any more", () => {
    const life = lifeOf(
      recordWith(DIAMOND, [[0, CREATED], started(5, "fetch"), event(9, "xstate.done.actor.fetch", { output: 1 })], {
        known: false,
      }),
    );
    expect(timelineOf(life).lanes.map(({ step }) => step)).toEqual(["", "fetch"]);
  });

  it("has ticks at round times, and zooms around the pointer without leaving the life", () => {
    expect(ticksOf({ from: 0, to: 2_000 }, 800).map(({ text }) => text)).toEqual([
      "0",
      "200 ms",
      "400 ms",
      "600 ms",
      "800 ms",
      "1.0 s",
      "1.2 s",
      "1.4 s",
      "1.6 s",
      "1.8 s",
      "2.0 s",
    ]);
    expect(ticksOf({ from: 0, to: 7_200_000 }, 500).map(({ text }) => text)).toEqual([
      "0",
      "30:00",
      "1:00:00",
      "1:30:00",
      "2:00:00",
    ]);
    expect(ticksOf({ from: 10_000, to: 10_010 }, 400).map(({ text }) => text)).toEqual([
      "10.000 s",
      "10.002 s",
      "10.004 s",
      "10.006 s",
      "10.008 s",
      "10.010 s",
    ]);
    const view = zoomed({ from: 0, to: 1_000 }, 0.5, 250, 1_000);
    expect(view).toEqual({ from: 125, to: 625 });
    expect(zoomed(view, 100, 250, 1_000)).toEqual({ from: 0, to: 1_000 });
    expect(panned(view, 9_999, 1_000)).toEqual({ from: 500, to: 1_000 });
    expect(axisLength(2_000, true)).toBeGreaterThan(2_100);
    expect(axisLength(2_000, true)).toBe(axisLength(2_050, true));
  });
});

describe("the sequence", () => {
  const sequence = sequenceOf(lifeOf(diamondRecord()));

  it("has a lifeline for everyone who said something, in an order that reads", () => {
    expect(sequence.lifelines.map(({ kind, label, detail }) => [kind, label, detail])).toEqual([
      ["event", "event", undefined],
      ["engine", "engine", undefined],
      ["group", "ada", "answer"],
      ["run", "run", undefined],
      ["worker", "w-1", "w-1"],
      ["worker", "w-2", "w-2"],
    ]);
    const xs = sequence.lifelines.map(({ x }) => x);
    expect(xs).toEqual([...xs].sort((a, b) => a - b));
  });

  it("draws what was told and what was sent, and timers as messages to itself", () => {
    const run = sequence.lifelines.findIndex(({ kind }) => kind === "run");
    const texts = sequence.messages.map(
      ({ from, to, label }) => `${sequence.lifelines[from]?.label}>${sequence.lifelines[to]?.label} ${label}`,
    );
    expect(texts.slice(0, 5)).toEqual([
      "event>run created",
      "run>ada asks for a slot",
      "ada>run waits in line",
      "ada>run admitted",
      expect.stringContaining("fetch started"),
    ]);
    expect(texts).toContain("run>w-1 dispatch rank");
    expect(texts).toContain("w-1>run rank failed");
    const timer = sequence.messages.find(({ timer }) => timer);
    expect(timer).toMatchObject({ from: run, to: run, label: "rank is tried again", position: 9 });
    expect(texts.at(-1)).toBe("run>ada gives its slot back");
  });

  it("leaves room for every label between the lifelines of its arrow", () => {
    for (const { from, to, label } of sequence.messages) {
      if (from === to) continue;
      const px = Math.abs((sequence.lifelines[from]?.x ?? 0) - (sequence.lifelines[to]?.x ?? 0));
      expect(px, label).toBeGreaterThanOrEqual(Math.min(320, label.length * 6.4));
    }
  });

  it("knows the rows of each frame", () => {
    expect(sequence.rowOf[0]).toBe(0);
    expect(sequence.rowOf[1]).toBe(2);
    expect(sequence.rowOf.at(-1)).toBe(sequence.messages.length);
  });

  it("cuts long names in the middle", () => {
    expect(shortLabel("short")).toBe("short");
    expect(shortLabel("a".repeat(50) + "END", 20)).toMatch(/^a+…a+END$/);
    expect(shortLabel("a".repeat(53), 20)).toHaveLength(20);
  });
});

describe("the log", () => {
  const life = lifeOf(diamondRecord());
  const texts = new WeakMap<RunFrame, string>();

  it("has the time of each frame, and since the one before", () => {
    expect(logRow(life, 4)).toMatchObject({
      position: 4,
      afterMs: 600,
      deltaMs: 199,
      label: { text: "fetch succeeded", tone: "ok" },
    });
    expect(logRow(life, 99)).toBeUndefined();
  });

  it("is filtered by all the words, in type, label, sender and data, and not by those after a minus", () => {
    expect(filterLog(life, "", texts)).toHaveLength(life.frames.length);
    expect(filterLog(life, "rank BUSY", texts).map((position) => life.frames[position]?.type)).toEqual([
      "xstate.error.actor.rank",
    ]);
    expect(filterLog(life, "worker:w-2", texts).length).toBeGreaterThan(0);
    expect(filterLog(life, "rank -started", texts).map((position) => life.frames[position]?.type)).toEqual([
      "xstate.error.actor.rank",
      "xstate.after.backoff.rank.run.running.rank.backoff",
      "xstate.done.actor.rank",
    ]);
  });

  it("tells what the run is told to do from what became of it", () => {
    expect(labelOf("run.cancelled", {}, true).text).toBe("cancel");
    expect(labelOf("run.cancelled", {}, false).text).toBe("run cancelled");
  });

  it("says in words what XState's types mean", () => {
    expect(labelOf("xstate.after.1000.run.running.slow.attempt.executing")).toEqual({
      text: "slow timed out",
      tone: "bad",
      step: "slow",
    });
    expect(labelOf("dispatch", { step: "a" })).toEqual({ text: "dispatch a", tone: "active", step: "a" });
    expect(labelOf("order.paid").text).toBe("order.paid");
    expect(labelOf("constructor").text).toBe("constructor");
  });
});

describe("a life of 5,000 frames", () => {
  it("is laid out at once", () => {
    const life = lifeOf(longRecord(5_000));
    timelineOf(life);
    sequenceOf(life);
    const from = performance.now();
    const { lanes } = timelineOf(life);
    const { messages } = sequenceOf(life);
    expect(performance.now() - from).toBeLessThan(2_000);
    expect(lanes[1]?.segments.length).toBeGreaterThan(4_900);
    expect(messages.length).toBeGreaterThan(5_000);
  });
});
