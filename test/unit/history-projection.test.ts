/** The projection: the same rows however the journals are cut, interleaved, repeated and interrupted. */
import { copyFileSync, existsSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { foldRun, type RunRow } from "../../src/history/run-fold.ts";
import { staysOf, type StoredFact } from "../../src/history/stored-facts.ts";
import { RUN_STATUSES } from "../../src/history/run-status.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { DirectProjector, EVENTS_STREAM, interleave, journalsOf, type Life, lives, WORKFLOWS } from "../support/history-world.ts";

/** What is expected of a run, from its life alone. */
function expected(one: Life): RunRow | undefined {
  const first = one[0]?.fact;
  if (first?.k !== "created") return undefined;
  const stored: (number | StoredFact)[] = one.flatMap(({ partition, fact }) => [partition, fact as StoredFact]);
  return foldRun(staysOf(stored), {
    id: first.run,
    spec: WORKFLOWS.find(({ name }) => name === first.wf),
    eventsStream: EVENTS_STREAM,
  });
}

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value ?? null)) as unknown;

async function everything(projector: DirectProjector): Promise<readonly RunRow[]> {
  return (await projector.list({ size: 1_000 })).items;
}

describe("The projection of the journals", () => {
  it("tells of every run what its facts say, in whatever batches and order of partitions they come", async () => {
    await fc.assert(
      fc.asyncProperty(lives(8), fc.array(fc.nat(100), { minLength: 5, maxLength: 30 }), async (all, picks) => {
        const projector = new DirectProjector(":memory:");
        for (const batch of interleave(journalsOf(all, picks), picks)) projector.batch(batch);
        const rows = new Map((await everything(projector)).map((row) => [row.view.id, row]));
        for (const one of all) {
          const row = expected(one);
          expect(plain(rows.get(row?.view.id ?? ""))).toEqual(plain(row));
        }
        expect(rows.size).toBe(all.length);
        await projector.close();
      }),
      { numRuns: 60 },
    );
  });

  it("is the same one by one as in batches with crashes, restarts and repetitions at any point", async () => {
    const folder = await temporaryFolder("history");
    let files = 0;
    await fc.assert(
      fc.asyncProperty(
        lives(6),
        fc.array(fc.nat(100), { minLength: 5, maxLength: 30 }),
        fc.array(fc.constantFrom("go", "go", "read", "crash", "restart", "repeat"), { minLength: 1, maxLength: 20 }),
        async (all, picks, given) => {
          const troubles = [...given];
          const journals = journalsOf(all, picks);

          const calm = new DirectProjector(":memory:");
          for (const journal of journals) {
            for (const batch of journal) {
              calm.batch(batch);
              await calm.request("flush", {});
            }
          }

          let file = `${folder}/${files++}.db`;
          let troubled = new DirectProjector(file);
          for (;;) {
            const done = troubled.positions;
            let interrupted = false;
            for (const batch of interleave(journals, picks)) {
              const trouble = troubles.shift();
              if (batch.seq <= (done.get(batch.partition) ?? 0) && trouble !== "repeat") continue;
              troubled.batch(batch);
              if (trouble === "read") await everything(troubled);
              if (trouble === "repeat") troubled.batch(batch);
              if (trouble === "crash" || trouble === "restart") {
                if (trouble === "restart") await troubled.close();
                else await troubled.settled();
                // A copy of the files as they are: what another process would find if this one were killed now.
                const copy = `${folder}/${files++}.db`;
                for (const suffix of ["", "-wal"]) if (existsSync(file + suffix)) copyFileSync(file + suffix, copy + suffix);
                if (trouble === "crash") await troubled.close();
                file = copy;
                troubled = new DirectProjector(file);
                interrupted = true;
                break;
              }
            }
            if (!interrupted) break;
          }

          const events = (rows: readonly RunRow[]): Promise<unknown[]> =>
            Promise.all(rows.map(({ view }) => troubled.request("events", { id: view.id })));
          const rows = await everything(calm);
          expect(await everything(troubled)).toEqual(rows);
          expect(await events(rows)).toEqual(await Promise.all(rows.map(({ view }) => calm.request("events", { id: view.id }))));
          await calm.close();
          await troubled.close();
        },
      ),
      { numRuns: 50 },
    );
  }, 60_000);

  it("finds runs by status, workflow, limit, key, time and schedule exactly as their views say", async () => {
    await fc.assert(
      fc.asyncProperty(lives(12), fc.array(fc.nat(100), { minLength: 5, maxLength: 30 }), async (all, picks) => {
        const projector = new DirectProjector(":memory:");
        const batches = interleave(journalsOf(all, picks), picks);
        // Some runs are written early and go on later.
        for (const [index, batch] of batches.entries()) {
          projector.batch(batch);
          if (index % 3 === 0) await projector.request("flush", {});
        }
        const views = (await everything(projector)).map(({ view }) => view);
        const sorted = views.toSorted((a, b) => Date.parse(b.createdAt) - Date.parse(a.createdAt) || (a.id < b.id ? 1 : -1));
        expect(views.map(({ id }) => id)).toEqual(sorted.map(({ id }) => id));

        const ids = async (query: object): Promise<string[]> =>
          (await projector.list({ size: 1_000, ...query })).items.map(({ view }) => view.id);
        for (const status of RUN_STATUSES)
          expect(await ids({ status })).toEqual(views.filter((view) => view.status === status).map(({ id }) => id));
        expect(await ids({ status: ["QUEUED", "FAILED"] })).toEqual(
          views.filter(({ status }) => status === "QUEUED" || status === "FAILED").map(({ id }) => id),
        );
        for (const { name } of WORKFLOWS)
          expect(await ids({ workflow: name })).toEqual(views.filter((view) => view.workflow === name).map(({ id }) => id));
        expect(await ids({ limit: "user" })).toEqual(views.filter(({ workflow }) => workflow !== "free").map(({ id }) => id));
        expect(await ids({ limit: "tenant", status: "RUNNING" })).toEqual(
          views.filter(({ workflow, status }) => workflow === "both" && status === "RUNNING").map(({ id }) => id),
        );
        for (const key of ["u1", "ü\u0000"]) {
          const holding = views.filter(({ keys }) => keys.some((one) => one.key === key));
          expect(await ids({ key })).toEqual(holding.map(({ id }) => id));
          expect(await ids({ limit: "tenant", key })).toEqual(
            holding.filter(({ workflow }) => workflow === "both").map(({ id }) => id),
          );
          expect(await ids({ limit: "user", key, status: "SUCCEEDED", workflow: "user" })).toEqual(
            holding.filter(({ workflow, status }) => workflow === "user" && status === "SUCCEEDED").map(({ id }) => id),
          );
        }
        const [since, until] = [views[Math.floor(views.length / 2)]?.createdAt ?? "", views[0]?.createdAt ?? ""];
        expect(await ids({ since, until })).toEqual(
          views.filter(({ createdAt }) => createdAt >= since && createdAt < until).map(({ id }) => id),
        );
        const waiting = views.filter(({ id, status, scheduledAt }) => {
          const facts = all.find((one) => one.some(({ fact }) => "run" in fact && fact.run === id)) ?? [];
          return status === "QUEUED" && scheduledAt !== undefined && facts.length === 1;
        });
        expect(await ids({ scheduled: true })).toEqual(waiting.map(({ id }) => id));
        await projector.close();
      }),
      { numRuns: 40 },
    );
  });
});
