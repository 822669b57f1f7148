/** Records that are kept: they say what a record that is told anew would, however the facts come in, and need bounded memory. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { openDatabase } from "../../src/history/database.ts";
import type { RunFact } from "../../src/history/journal.ts";
import { PendingRuns } from "../../src/history/pending-runs.ts";
import { RecordCache } from "../../src/history/record-cache.ts";
import { MAX_FRAMES, recordedMachine, recordOf } from "../../src/history/run-record.ts";
import { Store } from "../../src/history/store.ts";
import { createRedactor, DEFAULT_REDACT } from "../../src/protocol/redact.ts";
import type { RunFrame, RunRecord } from "../../src/protocol/record.ts";
import { DirectProjector, interleave, journalsOf, lives, T0, WORKFLOWS } from "../support/history-world.ts";

const machines = new Map(WORKFLOWS.map((spec) => [spec.name, { spec, machine: recordedMachine(spec) }]));
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value ?? null)) as unknown;
const framesOf = (text: string | undefined): readonly RunFrame[] =>
  text === undefined ? [] : (JSON.parse(text) as RunRecord).frames;

/** A file with one workflow, and a cache over it. */
function world(maxChars?: number) {
  const sql = openDatabase({ file: ":memory:", cluster: "" });
  const store = new Store(sql);
  for (const spec of WORKFLOWS) store.define(spec);
  const cache = new RecordCache(sql, store.specs, {
    redactor: createRedactor(DEFAULT_REDACT),
    ...(maxChars !== undefined && { maxChars }),
  });
  let seq = 0;
  const write = (...facts: readonly RunFact[]): void => {
    const pending = new PendingRuns();
    for (const fact of facts) pending.add(0, { ...fact });
    store.commit(pending, new Map([[0, ++seq]]));
  };
  return { cache, write };
}

const created = (run: string): RunFact => ({ k: "created", at: T0, run, wf: "free", ver: "v1", phase: "active", input: {} });
/** Two frames. */
const attempt = (run: string, n: number): RunFact[] => [
  { k: "event", at: T0 + n, run, ev: { type: "step.started.a", worker: "w1", attemptId: `${n}`, attempt: n } },
  { k: "event", at: T0 + n, run, ev: { type: "step.returned.a" } },
];

describe("The records of runs that are looked at", () => {
  it("are told on as they would be told anew, however the journals come in and whenever they are asked for", async () => {
    await fc.assert(
      fc.asyncProperty(lives(4), fc.array(fc.nat(100), { minLength: 5, maxLength: 30 }), async (all, picks) => {
        const projector = new DirectProjector(":memory:");
        const seen = new Map<string, number>();
        for (const [turn, batch] of interleave(journalsOf(all, picks), picks).entries()) {
          projector.batch(batch);
          for (const [index, one] of all.entries()) {
            // Some are looked at every time, some now and then.
            if ((turn + index) % (1 + (picks[index % picks.length]! % 3)) !== 0) continue;
            const { run } = one[0]!.fact as RunFact;
            const stays = await projector.request("stays", { id: run });
            const text = await projector.request("record", { id: run });
            const fact = stays?.flatMap(({ facts }) => facts).find(({ k }) => k === "created");
            const known = fact?.k === "created" ? machines.get(fact.wf) : undefined;
            const anew = known && recordOf(stays ?? [], { id: run, ...known });
            expect(text === undefined ? null : JSON.parse(text)).toEqual(plain(anew));
            const after = seen.get(run) ?? 0;
            const news = framesOf(await projector.request("record", { id: run, after }));
            expect(news).toEqual(framesOf(text).filter(({ index: place }) => place > after));
            seen.set(run, framesOf(text).at(-1)?.index ?? 0);
          }
        }
        await projector.close();
      }),
      { numRuns: 60 },
    );
  });

  it("cost what is new, and not what is known", () => {
    const { cache, write } = world();
    write(created("r"), ...Array.from({ length: 2_000 }, (_, n) => attempt("r", n)).flat());
    const time = (after?: number): number => {
      const from = process.cpuUsage();
      cache.read("r", after);
      return process.cpuUsage(from).user;
    };
    const whole = time();
    let n = 2_000;
    const news = Array.from({ length: 20 }, () => {
      write(...attempt("r", ++n));
      return time(2 * n - 1);
    }).toSorted((a, b) => a - b);
    expect(news[10]!).toBeLessThan(whole / 10);
  });

  it("leave the oldest frames out, and say how many", () => {
    const { cache, write } = world();
    write(created("r"), ...Array.from({ length: 2_000 }, (_, n) => attempt("r", n)).flat());
    expect(JSON.parse(cache.read("r") ?? "")).not.toHaveProperty("cut");
    write(...Array.from({ length: 600 }, (_, n) => attempt("r", 2_000 + n)).flat());
    const record = JSON.parse(cache.read("r") ?? "") as RunRecord;
    // Two for the creation, two for each attempt.
    expect(record.cut).toBe(2 + 2 * 2_600 - MAX_FRAMES);
    expect(record.frames.length).toBe(MAX_FRAMES);
    expect(record.frames[0]?.index).toBe(record.cut);
    expect(framesOf(cache.read("r", 5_200)).map(({ index }) => index)).toEqual([5_201]);
    expect(framesOf(cache.read("r", 10)).length).toBe(MAX_FRAMES);
  });

  it("are let go when there are too many, those first that nobody has asked for", () => {
    const { cache, write } = world(20_000);
    const runs = Array.from({ length: 10 }, (_, index) => `r${index}`);
    for (const run of runs) write(created(run), ...attempt(run, 1), ...attempt(run, 2));
    for (const run of runs) {
      expect(framesOf(cache.read(run)).length).toBe(6);
      expect(cache.chars).toBeLessThanOrEqual(20_000);
    }
    expect(cache.chars).toBeGreaterThan(5_000);
    // One that is larger than all of them may be is told, and not kept.
    write(created("large"), ...Array.from({ length: 100 }, (_, n) => attempt("large", n)).flat());
    expect(framesOf(cache.read("large")).length).toBe(202);
    expect(cache.chars).toBeLessThanOrEqual(20_000);
    cache.clear();
    expect(cache.chars).toBe(0);
    expect(framesOf(cache.read("r0")).length).toBe(6);
  });
});
