/** Sessions: renewed by their node, watched by others, ended once. By the clock of whoever looks. */
import { describe, expect, it } from "vitest";
import type { MapBucket } from "../../src/engine/cluster/map-store.ts";
import { Session, type SessionRecord, SessionWatch } from "../../src/engine/cluster/session.ts";
import { MemoryBucket } from "../support/cluster-world.ts";

const TTL_MS = 3_000;

class World {
  readonly memory = new MemoryBucket();
  now = 50_000;
  /** The next write gets through, its answer does not. */
  losesAnswer = false;
  away = false;
  readonly bucket: MapBucket = {
    get: (key) => Promise.resolve(this.memory.get(key) as never),
    compareAndSet: async (key, value, revision) => {
      if (this.away) throw new Error("away");
      const written = this.memory.compareAndSet(key, value, revision);
      if (!this.losesAnswer) return Promise.resolve(written);
      this.losesAnswer = false;
      throw new Error("lost");
    },
    delete: (key) => Promise.resolve(this.memory.delete(key)),
  };

  session(id = "a", info: () => unknown = () => undefined): Session {
    return new Session({ bucket: this.bucket, id, ttlMs: TTL_MS, now: () => this.now, info });
  }

  look(watch: SessionWatch, ids: readonly string[] = ["a"]): void {
    const found = ids.map(
      (id) => [id, this.memory.get(`node.${id}`) as { value: SessionRecord; revision: number } | undefined] as const,
    );
    watch.observe(new Map(found), this.now);
  }

  /** Looks as often as a node does, and says who is overdue at the end. */
  watchFor(watch: SessionWatch, ms: number): string[] {
    for (const until = this.now + ms; this.now < until;) {
      this.now = Math.min(until, this.now + TTL_MS / 6);
      this.look(watch);
    }
    return watch.overdue(this.now);
  }
}

describe("a node's own session", () => {
  it("changes with every renewal, and carries what others are to know", async () => {
    const world = new World();
    let read = 1;
    const session = world.session("a", () => ({ read: read++ }));
    expect(session.isOpen).toBe(false);
    expect(await session.renew()).toBe("renewed");
    expect(await session.renew()).toBe("renewed");
    expect(world.memory.get("node.a")?.value).toEqual({ v: 1, ttlMs: TTL_MS, beat: 2, info: { read: 2 } });
  });

  it("has run out when its last renewal was begun too long ago", async () => {
    const world = new World();
    const session = world.session();
    expect(session.expired(world.now)).toBe(true);
    await session.renew();
    expect(session.expired(world.now + TTL_MS)).toBe(false);
    expect(session.expired(world.now + TTL_MS + 1)).toBe(true);
    world.away = true;
    world.now += TTL_MS + 1;
    await expect(session.renew()).rejects.toThrow("away");
    expect(session.expired(world.now)).toBe(true);
    world.away = false;
    expect(await session.renew()).toBe("renewed");
    expect(session.expired(world.now)).toBe(false);
  });

  it("goes on after a renewal whose answer was lost, also after the first", async () => {
    const world = new World();
    const session = world.session();
    for (let i = 0; i < 2; i++) {
      world.losesAnswer = true;
      await expect(session.renew()).rejects.toThrow("lost");
      expect(await session.renew()).toBe("renewed");
    }
    expect(world.memory.get("node.a")?.value).toMatchObject({ beat: 4 });
  });

  it("is over for good once another has ended or deleted it", async () => {
    for (const how of ["ended", "deleted"]) {
      const world = new World();
      const session = world.session();
      await session.renew();
      const { value, revision } = world.memory.get("node.a")!;
      if (how === "ended") world.memory.compareAndSet("node.a", { ...(value as object), ended: true }, revision);
      else world.memory.delete("node.a");
      expect(await session.renew()).toBe("ended");
      expect(await session.renew()).toBe("ended");
    }
  });

  it("leaves nothing when its node was removed, and else says that it has ended", async () => {
    const world = new World();
    const session = world.session();
    await session.renew();
    await session.close(false);
    expect(world.memory.get("node.a")?.value).toMatchObject({ ended: true });
    await session.close(true);
    expect(world.memory.get("node.a")).toBeUndefined();
  });
});

describe("the watch over a session", () => {
  it("finds it overdue after its time without a change, not before, and can then end it", async () => {
    const world = new World();
    const session = world.session();
    const watch = new SessionWatch(TTL_MS);
    await session.renew();
    world.look(watch);
    expect(watch.nextDueMs).toBe(world.now + TTL_MS);
    expect(world.watchFor(watch, TTL_MS)).toEqual([]);
    expect(world.watchFor(watch, 1)).toEqual(["a"]);
    expect(watch.silentMs("a", world.now)).toBe(TTL_MS + 1);
    expect(await watch.end("a", world.bucket)).toBe(true);
    expect(await session.renew()).toBe("ended");
  });

  it("counts by the time that the session itself states", async () => {
    const world = new World();
    const slow = new Session({ bucket: world.bucket, id: "a", ttlMs: 9_000, now: () => world.now, info: () => undefined });
    const watch = new SessionWatch(TTL_MS);
    await slow.renew();
    world.look(watch);
    expect(world.watchFor(watch, 9_000)).toEqual([]);
    expect(world.watchFor(watch, 1)).toEqual(["a"]);
  });

  it("starts anew with every renewal", async () => {
    const world = new World();
    const session = world.session();
    const watch = new SessionWatch(TTL_MS);
    for (let i = 0; i < 10; i++) {
      await session.renew();
      expect(world.watchFor(watch, TTL_MS - 500)).toEqual([]);
    }
  });

  it("cannot end one that was renewed after it was seen", async () => {
    const world = new World();
    const session = world.session();
    const watch = new SessionWatch(TTL_MS);
    await session.renew();
    world.look(watch);
    world.watchFor(watch, TTL_MS + 1);
    await session.renew();
    expect(await watch.end("a", world.bucket)).toBe(false);
    expect(await session.renew()).toBe("renewed");
  });

  it("starts anew for all after it was interrupted", async () => {
    const world = new World();
    const watch = new SessionWatch(TTL_MS);
    await world.session().renew();
    world.look(watch);
    world.now += 10 * TTL_MS;
    world.look(watch);
    expect(watch.overdue(world.now)).toEqual([]);
    expect(world.watchFor(watch, TTL_MS + 1)).toEqual(["a"]);
  });

  it("takes an older state, from a server that lags, for no news", async () => {
    const world = new World();
    const session = world.session("a", () => world.now);
    const watch = new SessionWatch(TTL_MS);
    await session.renew();
    const old = world.memory.get("node.a") as { value: SessionRecord; revision: number };
    world.now += 100;
    await session.renew();
    world.look(watch);
    const seenAt = world.now;
    world.now += 500;
    watch.observe(new Map([["a", old]]), world.now);
    expect(watch.infoOf("a")).toBe(seenAt);
    expect(watch.nextDueMs).toBe(seenAt + TTL_MS);
  });

  it("sees at once that another has ended it, and after its time that it is gone", async () => {
    const world = new World();
    const session = world.session();
    const watch = new SessionWatch(TTL_MS);
    await session.renew();
    world.look(watch);
    await session.close(false);
    world.look(watch);
    expect(watch.overdue(world.now)).toEqual(["a"]);
    expect(await watch.end("a", world.bucket)).toBe(true);
    await session.close(true);
    const other = new SessionWatch(TTL_MS);
    world.look(other);
    expect(world.watchFor(other, TTL_MS)).toEqual([]);
    expect(world.watchFor(other, 1)).toEqual(["a"]);
    expect(await other.end("a", world.bucket)).toBe(true);
  });
});
