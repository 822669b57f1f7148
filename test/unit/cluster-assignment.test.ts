/** Who should own what: even, the same on every node, with few moves, whatever the map. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { assignPartitions, handoversDue, isSettled, movesOf, targetsOf } from "../../src/engine/cluster/assignment.ts";
import {
  claim,
  type ClusterMap,
  confirm,
  EMPTY_MAP,
  epochOf,
  forget,
  free,
  join,
  ownerOf,
  remove,
  rolesOf,
  setLeaving,
} from "../../src/engine/cluster/cluster-map.ts";

const NODE = { name: "n", host: "h", pid: 1, version: "0" };
const IDS = ["01a", "01b", "01c", "01d", "01e", "01f"];

/** Nodes in any order, and owners among them, among others, or none. */
const situation = fc.record({
  nodes: fc.shuffledSubarray(IDS, { minLength: 1 }),
  owners: fc.array(fc.option(fc.constantFrom(...IDS), { nil: undefined }), { minLength: 1, maxLength: 40 }),
});

function counts(nodes: readonly string[], targets: readonly (string | undefined)[]): number[] {
  return nodes.map((id) => targets.filter((target) => target === id).length);
}

/** A map with these members, in which these own everything; all at work. */
function mapOf(nodes: readonly string[], owners: readonly (string | undefined)[], coordinator?: string): ClusterMap {
  let map = EMPTY_MAP;
  for (const id of nodes) map = join(map, id, NODE, "");
  for (const [partition, owner] of owners.entries())
    if (owner !== undefined) map = confirm(claim(map, owner, partition, ""), owner, partition, 1);
  if (coordinator !== undefined) map = confirm(claim(map, coordinator, "coordinator", ""), coordinator, "coordinator", 1);
  return map;
}

describe("the assignment of partitions", () => {
  it("gives every partition to a member, and no member more than one above another", () => {
    fc.assert(
      fc.property(situation, ({ nodes, owners }) => {
        const targets = assignPartitions(nodes, owners.length, (partition) => owners[partition]);
        expect(targets.every((target) => target !== undefined && nodes.includes(target))).toBe(true);
        const each = counts(nodes, targets);
        expect(Math.max(...each) - Math.min(...each)).toBeLessThanOrEqual(1);
      }),
    );
  });

  it("moves no more than evenness takes", () => {
    fc.assert(
      fc.property(situation, ({ nodes, owners }) => {
        const targets = assignPartitions(nodes, owners.length, (partition) => owners[partition]);
        const moved = targets.filter(
          (target, partition) => nodes.includes(owners[partition] ?? "") && target !== owners[partition],
        );
        // What is above the shares, when those that have most have the larger ones.
        const has = counts(nodes, owners).sort((a, b) => b - a);
        const least = Math.floor(owners.length / nodes.length);
        const surplus = has.map((count, index) => count - least - (index < owners.length % nodes.length ? 1 : 0));
        expect(moved).toHaveLength(surplus.reduce((sum, over) => sum + Math.max(0, over), 0));
      }),
    );
  });

  it("is the same in whatever order the nodes are listed", () => {
    fc.assert(
      fc.property(situation, ({ nodes, owners }) => {
        const ownerNow = (partition: number): string | undefined => owners[partition];
        expect(assignPartitions([...nodes].sort(), owners.length, ownerNow)).toEqual(
          assignPartitions(nodes, owners.length, ownerNow),
        );
      }),
    );
  });

  it("changes nothing once it is carried out, and moves only what a leaving or a joining node makes necessary", () => {
    fc.assert(
      fc.property(situation, fc.nat(), ({ nodes, owners }, pick) => {
        const count = owners.length;
        const targets = assignPartitions(nodes, count, (partition) => owners[partition]);
        expect(assignPartitions(nodes, count, (partition) => targets[partition])).toEqual(targets);
        const gone = nodes[pick % nodes.length];
        const others = nodes.filter((id) => id !== gone);
        if (others.length === 0) return;
        const after = assignPartitions(others, count, (partition) => targets[partition]);
        for (const [partition, target] of targets.entries()) if (target !== gone) expect(after[partition]).toBe(target);
        const back = assignPartitions(nodes, count, (partition) => after[partition]);
        for (const [partition, target] of after.entries()) if (back[partition] !== target) expect(back[partition]).toBe(gone);
      }),
    );
  });

  it("spreads by hash what nobody has: other ids give other shares", () => {
    const spread = (nodes: string[]): string => assignPartitions(nodes, 32, () => undefined).join();
    expect(new Set([spread(["x1", "x2"]), spread(["x3", "x4"]).replaceAll("x3", "x1").replaceAll("x4", "x2")]).size).toBe(2);
  });

  it("gives nothing to anybody where there is nobody", () => {
    expect(assignPartitions([], 3, () => "gone")).toEqual([undefined, undefined, undefined]);
  });
});

describe("the coordinator", () => {
  it("stays where it is; free, it goes to the longest member; a leaving one gives it away", () => {
    const map = mapOf(["01b", "01a"], ["01a", "01b"], "01a");
    expect(targetsOf(map, 2)("coordinator")).toBe("01a");
    expect(targetsOf(free(map, "01a", "coordinator", 1, ""), 2)("coordinator")).toBe("01b");
    expect(targetsOf(setLeaving(map, "01a"), 2)("coordinator")).toBe("01b");
  });
});

describe("handing over", () => {
  it("comes to evenness one move at a time, with no move too many, whatever the members have", () => {
    fc.assert(
      fc.property(situation, ({ nodes, owners }) => {
        const count = owners.length;
        let map = mapOf(
          nodes,
          owners.map((owner, index) => (nodes.includes(owner ?? "") ? owner : nodes[index % nodes.length])),
          nodes[0],
        );
        const planned = movesOf(map, count).length;
        for (let moves = 0; ; moves++) {
          expect(isSettled(map, count)).toBe(true);
          const due = nodes.flatMap((id) => handoversDue(map, count, id, false).map((role) => ({ id, role })));
          if (due.length === 0) {
            expect(moves).toBe(planned);
            return;
          }
          expect(due).toHaveLength(1);
          const [{ id, role }] = due as [{ id: string; role: number }];
          map = free(map, id, role, epochOf(map, role), "");
          // Nothing else moves until it has arrived.
          for (const node of nodes) expect(handoversDue(map, count, node, false)).toEqual([]);
          const taker = targetsOf(map, count)(role) ?? "";
          map = claim(map, taker, role, "");
          for (const node of nodes) expect(handoversDue(map, count, node, false)).toEqual([]);
          map = confirm(map, taker, role, epochOf(map, role));
        }
      }),
      { numRuns: 50 },
    );
  });

  it("begins with what leaving nodes have, which wait for it", () => {
    const map = join(setLeaving(mapOf(["01a", "01b"], ["01a", "01a", "01a", "01b", "01b"], "01a"), "01b"), "01c", NODE, "");
    expect(movesOf(map, 5)[0]?.from).toBe("01b");
    expect(handoversDue(map, 5, "01b", false)).toHaveLength(1);
    expect(handoversDue(map, 5, "01a", false)).toEqual([]);
  });

  it("is all at once where nobody can take it, and goes on without those who do not take", () => {
    const alone = setLeaving(mapOf(["01a"], ["01a", "01a"], "01a"), "01a");
    expect(handoversDue(alone, 2, "01a", false)).toEqual([0, 1, "coordinator"]);
    const map = setLeaving(mapOf(["01a", "01b"], ["01a", "01a"], "01a"), "01a");
    const waiting = claim(free(map, "01a", 0, 1, ""), "01b", 0, "");
    expect(handoversDue(waiting, 2, "01a", false)).toEqual([]);
    expect(handoversDue(waiting, 2, "01a", true)).toEqual([1]);
  });
});

describe("the map of the cluster", () => {
  const map = mapOf(["01a", "01b"], ["01a", "01b"], "01a");

  it("gives the same map back where there is nothing to change", () => {
    expect(join(map, "01a", NODE, "later")).toBe(map);
    expect(setLeaving(map, "01x")).toBe(map);
    expect(remove(map, new Set(["01x"]), "")).toBe(map);
    expect(claim(map, "01b", 0, "")).toBe(map);
    expect(confirm(map, "01a", 0, 1)).toBe(map);
    expect(free(map, "01b", 0, 1, "")).toBe(map);
    expect(setLeaving(setLeaving(map, "01a"), "01a")).toEqual(setLeaving(map, "01a"));
  });

  it("frees what a removed member had, and keeps the epochs", () => {
    const after = remove(map, new Set(["01a"]), "then");
    expect(after.nodes).not.toHaveProperty("01a");
    expect(after.owners[0]).toEqual({ epoch: 1, at: "then" });
    expect(after.owners[1]).toBe(map.owners[1]);
    expect(rolesOf(2).map((role) => ownerOf(after, role))).toEqual([undefined, "01b", undefined]);
    expect(claim(after, "01b", 0, "").owners[0]).toMatchObject({ node: "01b", epoch: 2, recovering: true });
  });

  it("begins with an epoch above those of a map that was lost", () => {
    const anew = (role: number, at: string): number | undefined =>
      claim(join(EMPTY_MAP, "01a", NODE, at), "01a", role, at).owners[role]?.epoch;
    const before = anew(0, "2026-03-01T00:00:00.000Z") ?? 0;
    // Five minutes later, after a change of owners in every second.
    expect(anew(0, "2026-03-01T00:05:00.000Z")).toBe(before + 300);
    expect(anew(0, "2020-01-01T00:00:00.000Z")).toBe(1);
  });

  it("gives nothing to one that is no member, and frees nothing of a later ownership", () => {
    expect(claim(free(map, "01a", 0, 1, ""), "01x", 0, "")).toEqual(free(map, "01a", 0, 1, ""));
    const later = claim(free(map, "01a", 0, 1, ""), "01a", 0, "");
    expect(free(later, "01a", 0, 1, "")).toBe(later);
    expect(confirm(later, "01a", 0, 1)).toBe(later);
  });

  it("orders members by how long they have been ones", () => {
    const after = join(remove(map, new Set(["01a"]), ""), "01c", NODE, "");
    expect(after.nodes["01c"]?.order).toBeGreaterThan(after.nodes["01b"]?.order ?? 0);
  });

  it("remembers what was known of one that is gone, until it is back, and of the last sixteen", () => {
    const info = { history: [7] };
    const gone = remove(map, new Set(["01a", "01b"]), "then", (id) => (id === "01a" ? info : undefined));
    expect(gone.absent).toEqual({ "01a": { name: NODE.name, host: NODE.host, info } });
    expect(join(gone, "01c", { ...NODE, host: "another" }, "").absent).toEqual(gone.absent);
    expect(join(gone, "01c", NODE, "")).not.toHaveProperty("absent");

    let many = map;
    for (let n = 10; n < 40; n++) {
      many = join(many, `02n${n}`, { ...NODE, name: `n${n}` }, "");
      many = remove(many, new Set([`02n${n}`]), "", () => info);
    }
    expect(Object.keys(many.absent ?? {})).toEqual(Array.from({ length: 16 }, (_, i) => `02n${24 + i}`));
    // Each comes back as one of those that were away.
    const twins = remove(join(join(map, "03a", NODE, ""), "03b", NODE, ""), new Set(["03a", "03b"]), "", () => info);
    expect(Object.keys(join(twins, "03c", NODE, "").absent ?? {})).toEqual(["03b"]);
  });

  it("forgets absent members, and is the same map where there are none of those", () => {
    const gone = remove(map, new Set(["01a", "01b"]), "", () => ({}));
    expect(forget(gone, new Set(["01x"]))).toBe(gone);
    expect(Object.keys(forget(gone, new Set(["01a"])).absent ?? {})).toEqual(["01b"]);
    expect(forget(gone, new Set(["01a", "01b"]))).not.toHaveProperty("absent");
  });
});
