/** Records of runs that have to fit into one message. */
import { expect, it } from "vitest";
import { cutRecord } from "../../src/engine/cut-record.ts";
import { longRecord } from "../support/run-lives.ts";

it("lose their oldest frames, as many as need be, and say how many", () => {
  const record = longRecord(100);
  expect(cutRecord(record, 100_000_000)).toBe(record);
  for (const share of [0.9, 0.5, 0.1]) {
    const maxBytes = Math.floor(JSON.stringify(record).length * share);
    const cut = cutRecord(record, maxBytes);
    expect(JSON.stringify(cut).length).toBeLessThanOrEqual(maxBytes);
    expect(JSON.stringify(cut).length).toBeGreaterThan(maxBytes * 0.7);
    expect(cut.frames).toEqual(record.frames.slice(cut.cut));
    expect(cut.frames.length + (cut.cut ?? 0)).toBe(record.frames.length + (record.cut ?? 0));
  }
  expect(cutRecord({ ...record, cut: 7 }, 1_000).cut).toBeGreaterThan(7);
});
