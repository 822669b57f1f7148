/** The cursor of the run page: where it is, how it moves, how a life is played and where its frames stand on the scrubber. */
import { describe, expect, it } from "vitest";
import { cursorAt, cursorText, describeCursor, isPast, moved, parseCursor, positionOf } from "../../src/ui/run/model/cursor.ts";
import { joined } from "../../src/ui/run/model/joined.ts";
import { EMPTY_LIFE, lifeOf, positionAtTime } from "../../src/ui/run/model/life.ts";
import { nextFrame } from "../../src/ui/run/model/playback.ts";
import { participantName, workerName } from "../../src/ui/run/model/names.ts";
import { nearest, placesOf } from "../../src/ui/run/model/scrubber.ts";
import { stateVisit } from "../../src/ui/run/model/state-visit.ts";
import { clockText, countdownText, shortSpan, spanText } from "../../src/ui/run/model/span-text.ts";
import { diamondRecord, DIAMOND, longRecord, recordWith, started } from "../support/run-lives.ts";

const open = lifeOf(
  recordWith(DIAMOND, [
    [0, { k: "created", wf: "answer", ver: "v1", phase: "active", keys: ["ada"], input: {} }],
    started(5, "fetch"),
  ]),
);
const ended = lifeOf(diamondRecord());

describe("the cursor", () => {
  it("is live without an address, or with one that makes no sense", () => {
    expect(parseCursor(null)).toBe("live");
    expect(parseCursor("")).toBe("live");
    expect(parseCursor("-1")).toBe("live");
    expect(parseCursor("1e3")).toBe("live");
    expect(parseCursor("12")).toBe(12);
    expect(cursorText("live")).toBeUndefined();
    expect(cursorText(12)).toBe("12");
  });

  it("stays on its frame while newer ones come, and follows them when live", () => {
    expect(positionOf("live", open)).toBe(2);
    expect(positionOf(1, open)).toBe(1);
    expect(isPast(1, open)).toBe(true);
    expect(isPast("live", open)).toBe(false);
    expect(positionOf(99, open)).toBe(2);
  });

  it("steps back from live to the frame before the newest, and forth over the newest to live", () => {
    expect(moved("live", -1, open)).toBe(1);
    expect(moved(1, 1, open)).toBe(2);
    expect(moved(2, 1, open)).toBe("live");
    expect(moved(0, -1, open)).toBe(0);
    expect(moved("live", -1, EMPTY_LIFE)).toBe("live");
  });

  it("takes the last frame of a run that has ended for live", () => {
    expect(cursorAt(ended.frames.length - 1, ended)).toBe("live");
    expect(cursorAt(open.frames.length - 1, open)).toBe(2);
  });

  it("counts the frames that were cut", () => {
    const cut = lifeOf(recordWith(DIAMOND, facts(), { maxFrames: 4 }));
    expect(cut.cut).toBe(5);
    expect(positionOf(6, cut)).toBe(1);
    expect(positionOf(2, cut)).toBe(0);
    expect(describeCursor(6, cut)).toBe("7 of 9 · 1 ms after the oldest kept");
  });

  it("says where it is", () => {
    expect(describeCursor(0, ended)).toBe("1 of 15 · the start");
    expect(describeCursor("live", ended)).toBe("15 of 15 · 2.000 s after start");
    expect(describeCursor("live", EMPTY_LIFE)).toBe("nothing yet");
  });

  function facts() {
    const created = [0, { k: "created", wf: "answer", ver: "v1", phase: "active", keys: ["ada"], input: {} }] as const;
    return [created, ...Array.from({ length: 7 }, (_, index) => started(index + 1, "fetch"))];
  }
});

describe("the scrubber", () => {
  it("puts frames evenly, or where their time is, and finds the nearest", () => {
    const even = placesOf(ended, "frames");
    expect(even[0]).toBe(0);
    expect(even.at(-1)).toBe(1);
    expect(nearest(even, 0.5)).toBe(7);
    expect(nearest(even, -3)).toBe(0);
    expect(nearest(even, 3)).toBe(14);
    const timed = placesOf(ended, "time");
    expect(timed[2]).toBeCloseTo(0.2);
    // The last two frames are of the same millisecond: the later one is what is meant.
    expect(nearest(timed, 0.999)).toBe(14);
    expect(nearest(timed, 0.19)).toBe(2);
  });

  it("finds the frame that was there at a time", () => {
    expect(positionAtTime(ended, ended.startMs + 399)).toBe(1);
    expect(positionAtTime(ended, ended.startMs + 400)).toBe(2);
    expect(positionAtTime(ended, 0)).toBe(0);
    expect(positionAtTime(ended, Infinity)).toBe(14);
  });
});

describe("the playback", () => {
  it("goes through every frame of a short life, none too short to see and none too long to wait for", () => {
    const seen: number[] = [0];
    for (let next = nextFrame(ended, 0); next !== undefined; next = nextFrame(ended, next.position)) {
      seen.push(next.position);
      expect(next.afterMs).toBeGreaterThanOrEqual(260);
      expect(next.afterMs).toBeLessThanOrEqual(1_200);
    }
    expect(seen).toEqual(ended.frames.map((_, position) => position));
  });

  it("gets through 5,000 frames in half a minute", () => {
    const long = lifeOf(longRecord(5_000));
    let total = 0;
    for (let next = nextFrame(long, 0); next !== undefined; next = nextFrame(long, next.position)) {
      total += next.afterMs;
      expect(next.afterMs).toBeGreaterThanOrEqual(40);
    }
    expect(total).toBeLessThan(33_000);
  });
});

describe("lengths of time", () => {
  it("are exact where they can be read", () => {
    expect([0, 812, 3_214, 123_456, 3_723_000, 273_600_000].map(spanText)).toEqual([
      "0 ms",
      "812 ms",
      "3.214 s",
      "2 min 03.4 s",
      "1 h 02 min 03 s",
      "3 d 04 h",
    ]);
    expect(spanText(-5)).toBe("−5 ms");
  });

  it("are short where there is little room", () => {
    expect([812, 3_214, 12_345, 59_970, 123_456, 3_723_000, 273_600_000].map(shortSpan)).toEqual([
      "812 ms",
      "3.21 s",
      "12.3 s",
      "1:00 min",
      "2:03 min",
      "1:02 h",
      "3.2 d",
    ]);
  });

  it("count down to zero and no further", () => {
    expect([12_900, 9_960, 40, -5].map(countdownText)).toEqual(["12 s", "9.9 s", "0.0 s", "0.0 s"]);
    expect(clockText(new Date(2026, 0, 31, 9, 5, 3, 7).getTime())).toBe("09:05:03.007");
  });
});

describe("a record that grows", () => {
  const whole = diamondRecord();
  const part = (from: number, to: number) => ({ ...whole, frames: whole.frames.slice(from, to) });

  it("keeps the frames that are known, and adds those that are not", () => {
    const known = part(0, 5);
    const more = joined(known, part(3, 9));
    expect(more.frames.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    expect(more.frames[4]).toBe(known.frames[4]);
    expect(joined(more, part(9, 9))).toBe(more);
  });

  it("begins anew where something is missing between, or the machine is another", () => {
    expect(joined(part(0, 3), part(5, 9)).frames).toHaveLength(4);
    expect(joined(part(0, 3), { ...part(0, 9), machine: "another" }).frames).toHaveLength(9);
    expect(joined(undefined, whole)).toBe(whole);
  });

  it("lets the oldest go beyond 5,000, and says how many", () => {
    const long = longRecord(5_000);
    const frames = [0, 1, 2].map((more) => ({ ...long.frames[0]!, index: long.frames.at(-1)!.index + 1 + more }));
    const grown = joined(long, { ...long, frames });
    expect(grown.frames).toHaveLength(5_000);
    expect(grown.cut).toBe(long.frames.length + 3 - 5_000);
    expect(positionOf(0, lifeOf(grown))).toBe(0);
  });
});

describe("a state that is chosen", () => {
  it("leads to where it was entered, one visit after the other, and then the first again", () => {
    const entered = ended.frames.flatMap(({ type }, position) => (type === "step.started.rank" ? [position] : []));
    expect(entered).toHaveLength(2);
    const executing = "run.running.rank.attempt.executing";
    expect(stateVisit(ended, 0, executing)).toBe(entered[0]);
    expect(stateVisit(ended, entered[0] ?? 0, executing)).toBe(entered[1]);
    expect(stateVisit(ended, entered[1] ?? 0, executing)).toBe(entered[0]);
    expect(stateVisit(ended, 0, "run.cancelled")).toBeUndefined();
  });
});

describe("names", () => {
  it("are those that people gave", () => {
    expect(workerName("worker-1-01m8525mekbf9b13c1j3ygjxvk")).toBe("worker-1");
    expect(workerName("gpu-7")).toBe("gpu-7");
    expect(participantName("worker:gpu-7")).toBe("gpu-7");
    expect(participantName("group:tenant/a/b")).toBe("a/b");
    expect(participantName("timer")).toBe("timer");
  });
});
