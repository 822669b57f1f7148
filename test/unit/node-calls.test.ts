/** What engine nodes ask of each other gets its answer whatever moves, dies and is lost meanwhile; or an error, never half of it. */
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { isRequestError, RequestError, RunNotFoundError } from "../../src/errors.ts";
import { TestCluster } from "./cluster-world.ts";

const clusters: TestCluster[] = [];
const newCluster = (...options: ConstructorParameters<typeof TestCluster>): TestCluster => {
  const cluster = new TestCluster(...options);
  clusters.push(cluster);
  return cluster;
};
afterEach(() => {
  for (const cluster of clusters.splice(0)) cluster.stop();
});

/** Every node says who it is, and for `numbers` which of the partitions it has. */
function serveNames(cluster: TestCluster): string[] {
  const asked: string[] = [];
  for (const { id, calls, owned } of cluster.nodes) {
    calls.serve("who", async ({ partition }: { partition: number }) => {
      asked.push(id);
      await calls.reads.read(partition, () => undefined);
      return id;
    });
    calls.serve("name", async () => {
      asked.push(id);
      return id;
    });
    calls.serveGather("numbers", (partitions) => partitions.map(({ number }) => `${number}@${id}`));
    expect(owned.count).toBe(cluster.partitions.length);
  }
  return asked;
}

const soon = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("a request to the owner of a partition", () => {
  it("costs no message where the partition is here", async () => {
    const cluster = newCluster().own(0, 0, 1, 1);
    serveNames(cluster);
    expect(await cluster.node(0).calls.toOwner(1, "who", { partition: 1 })).toBe("n0");
    expect(cluster.sent).toEqual([]);
    expect(await cluster.node(0).calls.toOwner(2, "who", { partition: 2 })).toBe("n1");
    expect(cluster.sent).toEqual(["n0->n1 who"]);
  });

  it("waits for an owner, and then asks it", async () => {
    const cluster = newCluster();
    serveNames(cluster);
    const answer = cluster.node(0).calls.toOwner(3, "who", { partition: 3 });
    await soon();
    cluster.give(3, 1);
    expect(await answer).toBe("n1");
  });

  it("is asked again where the map is ahead of the node, and of its next owner where the map is behind", async () => {
    const cluster = newCluster().own(0, 0, 0, 0);
    serveNames(cluster);
    cluster.say(2, 1);
    const early = cluster.node(0).calls.toOwner(2, "who", { partition: 2 });
    await expect.poll(() => cluster.sent.length).toBeGreaterThan(1);
    cluster.give(2, 1);
    expect(await early).toBe("n1");
    cluster.say(3, 1);
    const late = cluster.node(1).calls.toOwner(3, "who", { partition: 3 });
    await soon();
    cluster.give(3, 0);
    expect(await late).toBe("n0");
  });

  it("is asked of the next owner when the one that has it does not answer any more", async () => {
    const cluster = newCluster({ nodes: 3 }).own(1, 1, 1, 1);
    serveNames(cluster);
    cluster.fate = (to) => (to === "n1" ? "hangs" : "answered");
    const answer = cluster.node(0).calls.toOwner(0, "who", { partition: 0 });
    await soon();
    cluster.give(0, 2);
    expect(await answer).toBe("n2");
    expect(cluster.sent).toEqual(["n0->n1 who", "n0->n2 who"]);
  });

  it("is asked again where its answer was lost, or the partition went while it was read", async () => {
    const cluster = newCluster({ nodes: 3 }).own(1, 1, 1, 1);
    const asked = serveNames(cluster);
    const fates = ["lost", "refused", "lost"] as const;
    let tries = 0;
    cluster.fate = () => fates[tries++] ?? "answered";
    expect(await cluster.node(0).calls.toOwner(0, "who", { partition: 0 })).toBe("n1");
    expect(asked).toEqual(["n1", "n1", "n1"]);

    // A partition that nobody steps any more answers no read.
    cluster.partitions[1]?.abandon();
    const answer = cluster.node(0).calls.toOwner(1, "who", { partition: 1 });
    await expect.poll(() => asked.length).toBe(4);
    cluster.say(1, undefined);
    cluster.node(1).owned.remove(1);
    cluster.node(2).calls.serve("who", async () => "n2");
    cluster.say(1, 2);
    expect(await answer).toBe("n2");
  });

  it("fails at once with what the owner answers, and with 503 after its patience", async () => {
    const cluster = newCluster({ patienceMs: 80 }).own(1, 1, 1);
    for (const { calls } of cluster.nodes) {
      calls.serve("get", () => Promise.reject(new RunNotFoundError("r1")));
      calls.serve("set", () => Promise.reject(new RequestError("no", { operation: "set", status: 400, reason: "BAD_REQUEST" })));
    }
    const { calls } = cluster.node(0);
    await expect(calls.toOwner(0, "get", { id: "r1" })).rejects.toMatchObject({ code: "RUN_NOT_FOUND", runId: "r1" });
    await expect(calls.toOwner(0, "set", {})).rejects.toMatchObject({ status: 400, reason: "BAD_REQUEST" });
    await expect(calls.toOwner(3, "get", {})).rejects.toMatchObject({ status: 503, reason: "ENGINE_UNAVAILABLE" });
    expect(cluster.sent).toHaveLength(2);
  });

  it("fails when the node ends", async () => {
    const cluster = newCluster();
    const answer = cluster.node(0).calls.toOwner(0, "who", {});
    await soon();
    cluster.stop();
    await expect(answer).rejects.toMatchObject({ status: 503 });
  });
});

describe("a request to all members", () => {
  it("leaves out the one that ceases to be a member, and only that one", async () => {
    const cluster = newCluster({ nodes: 3 });
    serveNames(cluster);
    cluster.fate = (to) => (to === "n1" ? "hangs" : "answered");
    const answers = cluster.node(0).calls.toAll<string>("name", {});
    await soon();
    cluster.members = ["n0", "n2"];
    cluster.changed();
    expect([...(await answers)]).toEqual([
      ["n0", "n0"],
      ["n2", "n2"],
    ]);
  });

  it("fails, or is short where that was asked for, when a member stays silent", async () => {
    const cluster = newCluster({ nodes: 2, patienceMs: 60 });
    serveNames(cluster);
    cluster.fate = () => "refused";
    await expect(cluster.node(0).calls.toAll("name", {})).rejects.toMatchObject({ status: 503 });
    expect([...(await cluster.node(0).calls.toAll("name", {}, { partialAfterMs: 20 })).keys()]).toEqual(["n0"]);
  });
});

describe("what is gathered from all owners", () => {
  it("costs no message where all partitions are here, and one for each other owner", async () => {
    const cluster = newCluster({ nodes: 3 }).own(0, 0, 0, 0);
    serveNames(cluster);
    const { calls } = cluster.node(0);
    expect((await calls.gather<string[]>("numbers", {})).parts).toEqual([["0@n0", "1@n0", "2@n0", "3@n0"]]);
    expect(cluster.sent).toEqual([]);
    cluster.own(0, 1, 2, 1);
    const { parts, seqs } = await calls.gather<string[]>("numbers", {});
    expect(parts.flat().sort()).toEqual(["0@n0", "1@n1", "2@n2", "3@n1"]);
    expect([...seqs].sort()).toEqual([0, 1, 2, 3].map((number) => [number, 100 + number]));
    expect(cluster.sent).toEqual(["n0->n1 numbers", "n0->n2 numbers"]);
  });

  it("fails when a partition has no owner for too long, or says that it is missing", async () => {
    const cluster = newCluster({ patienceMs: 60 }).own(0, 1, 1);
    serveNames(cluster);
    const { calls } = cluster.node(0);
    await expect(calls.gather("numbers", {})).rejects.toSatisfy(isRequestError);
    const { parts, missing } = await calls.gather<string[]>("numbers", {}, { partialAfterMs: 20 });
    expect([parts.flat(), missing]).toEqual([["0@n0", "1@n1", "2@n1"], [3]]);
  });

  it("does not count what a node read of a partition that it lost before it answered", async () => {
    const cluster = newCluster().own(0, 0, 1, 1);
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    for (const { id, calls } of cluster.nodes)
      calls.serveGather("slow", async (partitions) => {
        const read = partitions.map(({ number }) => `${number}@${id}`);
        if (id === "n1") await held;
        return read;
      });
    const gathered = cluster.node(0).calls.gather<string[]>("slow", {});
    await expect.poll(() => cluster.sent.length).toBe(1);
    cluster.give(3, 0);
    release();
    expect((await gathered).parts.flat().sort()).toEqual(["0@n0", "1@n0", "2@n1", "3@n0"]);
  });

  it("is not read on a node that may have been taken for dead", async () => {
    const cluster = newCluster().own(0, 0, 1, 1);
    serveNames(cluster);
    cluster.assured = (node) => node !== "n0";
    const gathered = cluster.node(0).calls.gather<string[]>("numbers", {});
    const read = cluster.node(0).calls.toOwner(0, "who", { partition: 0 });
    await soon();
    cluster.own(1, 1, 1, 1);
    expect((await gathered).parts.flat().sort()).toEqual(["0@n1", "1@n1", "2@n1", "3@n1"]);
    expect(await read).toBe("n1");
  });

  it("has every partition exactly once, whatever moves and is lost", async () => {
    const anyMove = fc.record({
      partition: fc.nat(5),
      to: fc.option(fc.nat(2), { nil: undefined }),
      onlyMap: fc.boolean(),
    });
    const anyFate = fc.constantFrom("answered", "answered", "refused", "lost", "hangs" as const);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(2), { minLength: 6, maxLength: 6 }),
        fc.array(anyMove, { maxLength: 12 }),
        fc.array(anyFate, { maxLength: 8 }),
        async (owners, moves, fates) => {
          const cluster = new TestCluster({ nodes: 3, partitions: 6 }).own(...owners);
          try {
            serveNames(cluster);
            let at = 0;
            cluster.fate = () => fates[at++] ?? "answered";
            const gathered = cluster.node(0).calls.gather<string[]>("numbers", {});
            for (const { partition, to, onlyMap } of moves) {
              if (onlyMap) cluster.say(partition, to);
              else cluster.give(partition, to);
              await soon();
            }
            // In the end everything has an owner that answers; nobody waits for an owner of before.
            cluster.fate = () => "answered";
            for (let partition = 0; partition < 6; partition++) cluster.give(partition, undefined);
            for (let partition = 0; partition < 6; partition++) cluster.give(partition, partition % 3);
            const { parts, missing } = await gathered;
            expect(
              parts
                .flat()
                .map((text) => text.slice(0, 1))
                .sort()
                .join(""),
            ).toBe("012345");
            expect(missing).toEqual([]);
          } finally {
            cluster.stop();
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});
