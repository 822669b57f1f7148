/** Commands from any node: in the inbox once, and waited for until they are applied, wherever the partition is by then. */
import { afterEach, describe, expect, it } from "vitest";
import { AppliedInboxes } from "../../src/engine/cluster/applied-inboxes.ts";
import { InboxCommands } from "../../src/engine/cluster/inbox-commands.ts";
import { TestCluster } from "./cluster-world.ts";

const CANCEL = { type: "cancel", run: "r1" } as const;
const soon = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Inboxes that all nodes publish into, and that a node applies when told to. */
class Inboxes {
  readonly cluster: TestCluster;
  readonly applied: readonly AppliedInboxes[];
  readonly commands: readonly InboxCommands[];
  readonly published: string[] = [];

  constructor(options?: ConstructorParameters<typeof TestCluster>[0]) {
    this.cluster = new TestCluster(options);
    this.applied = this.cluster.nodes.map(() => new AppliedInboxes());
    this.commands = this.cluster.nodes.map(({ calls }, index) => {
      const applied = this.applied[index] ?? new AppliedInboxes();
      return new InboxCommands({
        calls,
        applied,
        publish: (partition, text) => {
          const seq = this.published.push(`${partition} ${text}`);
          return Promise.resolve({ seq });
        },
      });
    });
  }

  give(partition: number, index: number | undefined, seq = 0): void {
    for (const applied of this.applied) applied.close(partition);
    if (index !== undefined) this.applied[index]?.open(partition, seq);
    this.cluster.give(partition, index);
  }

  /** Whether it has resolved, by now. */
  send(from: number, partition = 0): { readonly done: Promise<void>; over: boolean } {
    const done = this.commands[from]?.send(partition, CANCEL) ?? Promise.reject(new Error("no node"));
    const sent = { done, over: false };
    done.then(
      () => (sent.over = true),
      () => (sent.over = true),
    );
    return sent;
  }
}

const worlds: Inboxes[] = [];
const newInboxes = (options?: ConstructorParameters<typeof TestCluster>[0]): Inboxes => {
  const inboxes = new Inboxes(options);
  worlds.push(inboxes);
  return inboxes;
};
afterEach(() => {
  for (const { cluster } of worlds.splice(0)) cluster.stop();
});

describe("a command", () => {
  it("resolves when this node has applied it, without a message", async () => {
    const inboxes = newInboxes();
    inboxes.give(0, 0);
    const [first, second] = [inboxes.send(0), inboxes.send(0)];
    inboxes.applied[0]?.applied(0, 1);
    await first.done;
    await soon();
    expect(second.over).toBe(false);
    inboxes.applied[0]?.applied(0, 2);
    await second.done;
    expect(inboxes.cluster.sent).toEqual([]);
  });

  it("resolves when its owner has applied it; many wait with one request", async () => {
    const inboxes = newInboxes();
    inboxes.give(0, 1);
    const sent = Array.from({ length: 50 }, () => inboxes.send(0));
    await soon();
    expect(sent.some(({ over }) => over)).toBe(false);
    inboxes.applied[1]?.applied(0, 50);
    await Promise.all(sent.map(({ done }) => done));
    expect(inboxes.published).toHaveLength(50);
    expect(inboxes.cluster.sent.length).toBeLessThan(5);
  });

  it("is published once, and waited for, while its partition moves twice and answers are lost", async () => {
    const inboxes = newInboxes({ nodes: 3 });
    inboxes.give(0, 1);
    let lost = 2;
    inboxes.cluster.fate = () => (lost-- > 0 ? "lost" : "answered");
    const sent = inboxes.send(0);
    await soon();
    inboxes.give(0, undefined);
    await soon();
    inboxes.give(0, 2);
    await expect.poll(() => inboxes.cluster.sent).toContain("n0->n2 node.applied");
    expect(sent.over).toBe(false);
    inboxes.give(0, 0);
    await soon();
    inboxes.applied[0]?.applied(0, 1);
    await sent.done;
    expect(inboxes.published).toHaveLength(1);
  });

  it("goes on when its partition leaves this node, which has not applied it", async () => {
    const inboxes = newInboxes();
    inboxes.give(0, 0);
    const sent = inboxes.send(0);
    await soon();
    // The next owner has applied it before it is asked.
    inboxes.give(0, 1, 1);
    await sent.done;
    expect(inboxes.published).toHaveLength(1);
  });

  it("fails with 503 when the partition has no owner for too long, and was published once", async () => {
    const inboxes = newInboxes({ patienceMs: 50 });
    await expect(inboxes.send(0).done).rejects.toMatchObject({ status: 503, reason: "APPLIED_LATER" });
    expect(inboxes.published).toHaveLength(1);
  });

  it("is waited for in any order of acknowledgements", async () => {
    const applied = new AppliedInboxes();
    applied.open(0, 5);
    const reached: number[] = [];
    for (const seq of [9, 7, 8, 4, 10]) void applied.reaches(0, seq).then(() => reached.push(seq));
    await soon();
    applied.applied(0, 8);
    await soon();
    expect(reached.sort()).toEqual([4, 7, 8]);
    applied.applied(0, 10);
    await soon();
    expect(reached).toHaveLength(5);
    const late = applied.reaches(0, 11);
    applied.close(0);
    await expect(late).rejects.toMatchObject({ status: 503, reason: "NOT_OWNER" });
  });
});
