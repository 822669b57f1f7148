/** Engine nodes come, go, die, pause and are cut off: who owns what then, and how long it takes. In virtual time. */
import { describe, expect, it } from "vitest";
import { ABSENCE_MS } from "../../src/engine/cluster/absent-watch.ts";
import { ClusterWorld, type TestNode, TTL_MS } from "../support/cluster-world.ts";

const DETECTION_MS = TTL_MS + TTL_MS / 6;

async function cluster(names: readonly string[], partitions = 8): Promise<{ world: ClusterWorld; nodes: TestNode[] }> {
  const world = new ClusterWorld(partitions);
  const nodes: TestNode[] = [];
  for (const name of names) {
    nodes.push(await world.started(name));
    await world.until(() => world.isWhole && isEven(world));
  }
  return { world, nodes };
}

function isEven(world: ClusterWorld): boolean {
  const living = world.nodes.filter((node) => node.membership.nodes.includes(node.id) && !node.paused && !node.cutOff);
  const counts = living.map((node) => node.roles.filter((role) => role !== "coordinator").length);
  return Math.max(...counts) - Math.min(...counts) <= 1;
}

/** As kill -9: what it had in memory is gone, and it never goes on. */
function kill(node: TestNode): void {
  node.pause();
  node.running.clear();
}

describe("a node that starts", () => {
  it("claims everything in one write of the map when it is alone, and confirms in a second", async () => {
    const world = new ClusterWorld();
    const a = await world.started("a");
    expect(a.log).toHaveLength(9);
    expect(world.isWhole).toBe(true);
    expect(world.bucket.writes).toEqual(["node.a-1", "map", "map"]);
    expect(a.membership.coordinator).toBe("a-1");
    expect(a.membership.ownerOf(3)).toBe("a-1");
  });

  it("has started when it is a member, before anything runs", async () => {
    const world = new ClusterWorld();
    const a = world.add("a");
    a.taking = () => new Promise(() => undefined);
    let started = false;
    void a.membership.start().then(() => (started = true));
    expect(await world.until(() => started)).toBe(0);
    expect(a.membership.nodes).toEqual(["a-1"]);
    expect(a.running.size).toBe(0);
  });

  it("gets its share one partition at a time, and each move waits until the one before has recovered", async () => {
    const { world, nodes } = await cluster(["a"]);
    let away = 0;
    let most = 0;
    world.check = () => {
      away = 9 - world.nodes.reduce((sum, node) => sum + node.running.size, 0);
      most = Math.max(most, away);
    };
    const b = world.add("b");
    b.taking = () => new Promise((resolve) => world.clock.setTimer(resolve, 700));
    nodes[0]!.givingBack = () => new Promise((resolve) => world.clock.setTimer(resolve, 300));
    void b.membership.start();
    await world.until(() => isEven(world) && world.isWhole);
    expect(most).toBe(1);
    expect(b.roles).toHaveLength(4);
    expect(nodes[0]!.log.filter((line) => line.startsWith("give"))).toHaveLength(4);
    expect(b.membership.coordinator).toBe("a-1");
  });

  it("gets its share also when no broadcast arrives", async () => {
    const { world } = await cluster(["a"]);
    world.losesNews = true;
    await world.started("b");
    expect(await world.until(() => isEven(world) && world.isWhole)).toBeLessThan(4 * 3 * (TTL_MS / 6));
  });

  it("starts at the same time as four others", async () => {
    const world = new ClusterWorld();
    // Answers come in turns, so that all of them read before the first writes.
    world.answers = () => new Promise((resolve) => setImmediate(resolve));
    const nodes = ["a", "b", "c", "d", "e"].map((name) => world.add(name));
    for (const { membership } of nodes) void membership.start();
    await world.until(() => world.isWhole && isEven(world));
    expect(world.counts()).toEqual([1, 1, 2, 2, 2]);
    expect(nodes.every(({ outcasts }) => outcasts === 0)).toBe(true);
    await world.advance(10 * TTL_MS);
    expect(world.isWhole).toBe(true);
    expect(nodes.flatMap(({ log }) => log).filter((line) => line.startsWith("drop"))).toEqual([]);
  });

  it("waits for NATS", async () => {
    const world = new ClusterWorld();
    world.away = true;
    const a = await world.started("a");
    await world.advance(20_000);
    expect(a.membership.nodes).toEqual([]);
    world.away = false;
    expect(await world.until(() => world.isWhole)).toBeLessThanOrEqual(500);
  });

  it("takes over what one that was killed before had, when that one's time is over", async () => {
    const world = new ClusterWorld();
    const before = await world.started("a");
    kill(before);
    await world.started("b");
    expect(await world.until(() => world.isWhole)).toBeLessThanOrEqual(DETECTION_MS);
    expect(world.nodes[1]!.running.get(0)).toBe(2);
  });

  it("tries a partition again that it could not take, under a newer epoch", async () => {
    const world = new ClusterWorld();
    const a = world.add("a");
    let fails = 2;
    a.taking = (role) => (role === 3 && fails-- > 0 ? Promise.reject(new Error("cannot read the journal")) : Promise.resolve());
    void a.membership.start();
    await world.until(() => world.isWhole);
    expect(a.log.filter((line) => line.startsWith("take 3"))).toEqual(["take 3 1", "take 3 2", "take 3 3"]);
    expect(a.running.get(3)).toBe(3);
    expect(a.running.get(2)).toBe(1);
  });
});

describe("a node that stops", () => {
  it("gives back one partition after another, each to be taken before the next, then leaves", async () => {
    const { world, nodes } = await cluster(["a", "b"]);
    const [a, b] = nodes as [TestNode, TestNode];
    b.taking = () => new Promise((resolve) => world.clock.setTimer(resolve, 100));
    a.givingBack = () => new Promise((resolve) => world.clock.setTimer(resolve, 100));
    let most = 0;
    world.check = () => (most = Math.max(most, 9 - a.running.size - b.running.size));
    let left = false;
    void a.membership.stop().then(() => (left = true));
    await world.until(() => left && world.isWhole);
    expect(most).toBe(1);
    expect(a.running.size).toBe(0);
    expect(a.log.filter((line) => line.startsWith("drop"))).toEqual([]);
    expect(b.roles).toHaveLength(9);
    expect(world.bucket.map().nodes).not.toHaveProperty("a-1");
    expect(world.bucket.get("node.a-1")).toBeUndefined();
  });

  it("gives back everything at once when it is the last, and leaves nothing for the next to wait for", async () => {
    const { world, nodes } = await cluster(["a"]);
    const [a] = nodes as [TestNode];
    let giving = 0;
    let most = 0;
    a.givingBack = async () => {
      most = Math.max(most, ++giving);
      await new Promise<void>((resolve) => world.clock.setTimer(resolve, 100));
      giving--;
    };
    let left = false;
    void a.membership.stop().then(() => (left = true));
    expect(await world.until(() => left)).toBe(100);
    expect(most).toBe(9);
    expect(world.bucket.map().nodes).toEqual({});
    await world.started("b");
    expect(world.isWhole).toBe(true);
    expect(world.nodes[1]!.running.get(0)).toBe(2);
  });

  it("does not wait for ever for one that does not get on with taking over", async () => {
    const { world, nodes } = await cluster(["a", "b"]);
    const [a, b] = nodes as [TestNode, TestNode];
    b.taking = () => new Promise(() => undefined);
    let left = false;
    void a.membership.stop().then(() => (left = true));
    await world.until(() => left);
    expect(a.running.size).toBe(0);
    expect(a.log.filter((line) => line.startsWith("drop"))).toEqual([]);
  });

  it("leaves without a word when NATS is away, within the time of its session", async () => {
    const { world, nodes } = await cluster(["a"]);
    world.away = true;
    let left = false;
    void nodes[0]!.membership.stop().then(() => (left = true));
    expect(await world.until(() => left)).toBeLessThanOrEqual(DETECTION_MS);
    expect(nodes[0]!.running.size).toBe(0);
  });

  it("stops at once before it could start, and stops without having started, twice", async () => {
    const world = new ClusterWorld();
    world.away = true;
    const a = await world.started("a");
    await Promise.all([a.membership.stop(), a.membership.stop()]);
    const b = world.add("b");
    await b.membership.stop();
    await b.membership.start();
    expect(b.log).toEqual([]);
    expect(world.clock.nextDueMs).toBeUndefined();
  });

  it("leaves together with all others", async () => {
    const { world, nodes } = await cluster(["a", "b", "c"]);
    let left = 0;
    for (const { membership } of nodes) void membership.stop().then(() => left++);
    await world.until(() => left === 3);
    expect(world.bucket.map().nodes).toEqual({});
    expect(nodes.flatMap(({ log }) => log).filter((line) => line.startsWith("drop"))).toEqual([]);
    expect(world.clock.nextDueMs).toBeUndefined();
  });
});

describe("a node that dies", () => {
  it("is replaced within the time of its session and one look, by all others, each with one write", async () => {
    const { world, nodes } = await cluster(["a", "b", "c"], 12);
    for (let offset = 0; offset < TTL_MS / 3; offset += 97) await world.advance(97);
    kill(nodes[0]!);
    const writes = world.bucket.writes.length;
    expect(await world.until(() => world.isWhole)).toBeLessThanOrEqual(DETECTION_MS);
    expect(world.bucket.writes.slice(writes).filter((key) => key === "map").length).toBeLessThanOrEqual(4);
    expect(nodes[1]!.roles.length + nodes[2]!.roles.length).toBe(13);
    expect(world.counts()).toEqual([0, 6, 6]);
    // The longest member of those that are left.
    expect(nodes[1]!.membership.coordinator).toBe("b-1");
    await world.settle();
    expect(world.bucket.get("node.a-1")).toBeUndefined();
  });

  it("is replaced also when it dies while it takes, and while it gives back", async () => {
    for (const when of ["takes", "gives"] as const) {
      const { world, nodes } = await cluster(["a", "b"]);
      const never = (): Promise<void> => new Promise(() => undefined);
      const c = world.add("c");
      const victim = when === "takes" ? c : nodes[0]!;
      if (when === "takes") c.taking = never;
      else nodes[0]!.givingBack = never;
      void c.membership.start();
      await world.until(() => (when === "takes" ? c.log.length > 0 : victim.log.some((line) => line.startsWith("give"))), 20_000);
      kill(victim);
      expect(await world.until(() => world.isWhole)).toBeLessThanOrEqual(DETECTION_MS + 1_000);
    }
  });
});

describe("a node that was paused", () => {
  it("drops everything at its first look, and joins anew", async () => {
    const { world, nodes } = await cluster(["a", "b"]);
    const [a, b] = nodes as [TestNode, TestNode];
    a.pause();
    await world.until(() => b.running.size === 9);
    expect(a.running.size).toBe(5);
    a.resume();
    await world.settle();
    expect(a.outcasts).toBe(1);
    expect(a.log.filter((line) => line.startsWith("drop"))).toHaveLength(5);
    expect(a.id).toBe("a-2");
    await world.until(() => world.isWhole && isEven(world));
    expect(a.roles).toHaveLength(4);
    expect(b.membership.coordinator).toBe("b-1");
  });

  it("does not take others for dead because it has not seen them for long", async () => {
    const { world, nodes } = await cluster(["a", "b"]);
    nodes[0]!.pause();
    nodes[1]!.pause();
    await world.advance(60_000);
    nodes[0]!.resume();
    await world.advance(TTL_MS / 2);
    nodes[1]!.resume();
    await world.advance(10 * TTL_MS);
    expect(nodes.map(({ outcasts }) => outcasts)).toEqual([0, 0]);
    expect(world.isWhole).toBe(true);
  });

  it("stays a member when nobody was there to remove it", async () => {
    const { world, nodes } = await cluster(["a"]);
    nodes[0]!.pause();
    await world.advance(60_000);
    nodes[0]!.resume();
    await world.advance(TTL_MS);
    expect(nodes[0]!.outcasts).toBe(0);
    expect(nodes[0]!.log).toHaveLength(9);
  });

  it("finds the end of its session by its next renewal, though the map still names it", async () => {
    const { world, nodes } = await cluster(["a", "b"]);
    const [a] = nodes as [TestNode, TestNode];
    const entry = world.bucket.get("node.a-1")!;
    world.bucket.compareAndSet("node.a-1", { ...(entry.value as object), ended: true }, entry.revision);
    expect(await world.until(() => a.outcasts === 1)).toBeLessThanOrEqual(TTL_MS / 3);
    await world.until(() => world.isWhole && isEven(world));
  });

  it("waits with a partition until what it had begun with it has ended", async () => {
    const { world, nodes } = await cluster(["a", "b"]);
    const [a, b] = nodes as [TestNode, TestNode];
    let end: () => void = () => undefined;
    a.givingBack = () => new Promise((resolve) => (end = resolve));
    void a.membership.stop();
    await world.until(() => a.log.some((line) => line.startsWith("give")));
    a.pause();
    await world.until(() => b.running.size === 9);
    a.resume();
    await world.settle();
    expect(a.running.size).toBe(0);
    end();
    await world.settle();
    expect(world.isWhole).toBe(true);
  });
});

describe("a node that is cut off", () => {
  it("keeps what it has, is replaced, and drops all when it sees the map again", async () => {
    const { world, nodes } = await cluster(["a", "b"]);
    const [a, b] = nodes as [TestNode, TestNode];
    a.cutOff = true;
    await world.until(() => b.running.size === 9);
    expect(a.running.size).toBe(5);
    expect(a.membership.view().find(({ self }) => self)?.state).toBe("member");
    a.cutOff = false;
    await world.until(() => a.outcasts === 1);
    await world.until(() => world.isWhole && isEven(world));
  });

  it("keeps what it has when all are cut off, and nobody is taken for dead afterwards", async () => {
    const { world, nodes } = await cluster(["a", "b", "c"]);
    for (const outageMs of [1_000, TTL_MS, 60_000]) {
      world.away = true;
      await world.advance(outageMs);
      world.away = false;
      await world.advance(3 * TTL_MS);
      expect(world.isWhole).toBe(true);
      expect(nodes.map(({ outcasts }) => outcasts)).toEqual([0, 0, 0]);
    }
    expect(nodes.flatMap(({ log }) => log).filter((line) => line.startsWith("drop"))).toEqual([]);
  });

  it("still finds a death after an outage", async () => {
    const { world, nodes } = await cluster(["a", "b"]);
    world.away = true;
    await world.advance(10_000);
    kill(nodes[0]!);
    world.away = false;
    expect(await world.until(() => world.isWhole)).toBeLessThanOrEqual(DETECTION_MS + 500);
  });
});

describe("a write whose answer is lost", () => {
  it("counts all the same: of the map, and of the session", async () => {
    for (let lost = 1; lost <= 4; lost++) {
      const world = new ClusterWorld();
      const a = world.add("a");
      a.losesAnswers = lost;
      void a.membership.start();
      await world.until(() => world.isWhole);
      expect(a.outcasts).toBe(0);
      a.losesAnswers = lost;
      await world.advance(3 * TTL_MS);
      expect(a.outcasts).toBe(0);
      expect(a.log.filter((line) => line.startsWith("take"))).toHaveLength(9);
    }
  });
});

describe("a partition that the fence has taken", () => {
  it("is freed where the map still names this node, and claimed again after a rest under a newer epoch", async () => {
    const { world, nodes } = await cluster(["a"]);
    const [a] = nodes as [TestNode];
    a.running.delete(2);
    a.membership.lost(2);
    await world.settle();
    expect(world.bucket.map().owners[2]).toMatchObject({ epoch: 1 });
    expect(world.bucket.map().owners[2]).not.toHaveProperty("node");
    expect(await world.until(() => world.isWhole)).toBe(1_000);
    expect(a.running.get(2)).toBe(2);
    expect(a.log.filter((line) => line.startsWith("drop"))).toEqual([]);
  });
});

describe("what is known of the cluster", () => {
  it("tells what the others want known, what they own, and who is silent", async () => {
    const { world, nodes } = await cluster(["a", "b"]);
    const [a, b] = nodes as [TestNode, TestNode];
    b.info = { read: [1, 2] };
    await world.advance(TTL_MS);
    expect(a.membership.sessions()).toEqual(new Map([["b-1", { read: [1, 2] }]]));
    expect(b.membership.sessions()).toEqual(new Map([["a-1", undefined]]));
    kill(b);
    await world.advance(TTL_MS / 2 + 600);
    expect(a.membership.view()).toMatchObject([
      { id: "a-1", name: "a", self: true, state: "member", roles: { length: 5 } },
      { id: "b-1", name: "b", self: false, state: "silent", roles: { length: 4 } },
    ]);
  });

  it("keeps the newest position of the definitions", async () => {
    const { world, nodes } = await cluster(["a", "b"]);
    await Promise.all([nodes[0]!.membership.setDefinitionsSeq(7), nodes[1]!.membership.setDefinitionsSeq(5)]);
    await world.settle();
    expect(world.bucket.map().definitionsSeq).toBe(7);
    expect(nodes[1]!.membership.map.definitionsSeq).toBe(7);
  });

  it("says when the map has changed", async () => {
    const { world, nodes } = await cluster(["a"]);
    let changes = 0;
    const end = nodes[0]!.membership.onChanged(() => changes++);
    await world.started("b");
    expect(changes).toBeGreaterThan(0);
    end();
    const before = changes;
    await world.started("c");
    expect(changes).toBe(before);
  });
});

describe("what a member wanted known", () => {
  it("is remembered when it dies or leaves, until it is back", async () => {
    const { world, nodes } = await cluster(["a", "b", "c"]);
    const [a, b, c] = nodes as [TestNode, TestNode, TestNode];
    b.info = { history: [1, 2] };
    c.info = { history: [3, 4] };
    await world.advance(TTL_MS);
    expect(world.bucket.map().absent).toBeUndefined();
    kill(b);
    void c.membership.stop();
    await world.until(() => a.membership.nodes.length === 1);
    await world.advance(1);
    const { absent } = world.bucket.map();
    expect(absent).toEqual({
      "b-1": { name: "b", host: "host", info: b.info },
      "c-1": { name: "c", host: "host", info: c.info },
    });
    await world.started("b", { newId: () => "b-2" });
    expect(world.bucket.map().absent).toEqual({ "c-1": absent?.["c-1"] });
  });

  it("is remembered also when it could leave no better than by ending its session", async () => {
    const { world, nodes } = await cluster(["a", "b"]);
    const [a, b] = nodes as [TestNode, TestNode];
    b.info = { history: [1] };
    await world.advance(TTL_MS);
    b.givingBack = () => new Promise(() => undefined);
    let stopped = false;
    void b.membership.stop().then(() => (stopped = true));
    await world.until(() => stopped);
    await world.until(() => a.membership.nodes.length === 1);
    expect(world.bucket.map().absent).toEqual({ "b-1": { name: "b", host: "host", info: b.info } });
  });

  it("is forgotten when it has been away for ten minutes, and not before", async () => {
    const { world, nodes } = await cluster(["a", "b"]);
    const [a, b] = nodes as [TestNode, TestNode];
    b.info = { history: [1] };
    await world.advance(TTL_MS);
    kill(b);
    await world.until(() => a.membership.nodes.length === 1);
    await world.advance(ABSENCE_MS - TTL_MS);
    expect(world.bucket.map()).toHaveProperty("absent");
    await world.advance(2 * TTL_MS);
    expect(world.bucket.map()).not.toHaveProperty("absent");
  });
});
