/** What becomes of attempts whose worker is gone, or does not know them. */
import { pino } from "pino";
import { describe, expect, it } from "vitest";
import type { HeldAttempt } from "../../src/engine/dispatcher.ts";
import { MissingAttempts } from "../../src/engine/missing-attempts.ts";
import type { Run } from "../../src/engine/run.ts";

const RUN = { run: "r" } as unknown as Run;

function held(id: string, partition = 0): HeldAttempt {
  const attempt = { id, step: "do", worker: "w1", number: 1, assignedAt: 0, over: false };
  return { attempt, run: RUN, partition, recovered: false };
}

/** A node with two partitions; `read` goes on with a partition's inbox, as it ends. */
function setup() {
  const news: string[] = [];
  const hosts = new Map([0, 1].map((partition) => [partition, {}]));
  const inboxes = new Map<number, ((error?: Error) => void)[]>();
  const missing = new MissingAttempts({
    hostOf: (partition) => hosts.get(partition),
    inboxApplied: (partition) =>
      new Promise<void>((resolve, reject) => {
        const end = (error?: Error): void => (error === undefined ? resolve() : reject(error));
        inboxes.set(partition, [...(inboxes.get(partition) ?? []), end]);
      }),
    giveBack: ({ attempt: { id } }, how) => void news.push(`${how} ${id}`),
    logger: pino({ level: "silent" }),
  });
  const read = async (partition: number, error?: Error): Promise<void> => {
    for (const end of inboxes.get(partition)?.splice(0) ?? []) end(error);
    await new Promise(setImmediate);
  };
  return { missing, hosts, inboxes, read, news: () => news.splice(0) };
}

describe("the attempts of a worker that is gone", () => {
  it("are lost once the inbox is read, and only those without a result in it", async () => {
    const { missing, inboxes, read, news } = setup();
    const [handedBack, lost, other] = [held("handed back"), held("lost"), held("of another partition", 1)] as const;
    missing.lost([handedBack, lost, other]);
    expect(inboxes.get(0)).toHaveLength(1);
    expect(news()).toEqual([]);
    (handedBack.attempt as { over: boolean }).over = true;
    await read(0);
    expect(news()).toEqual(["lost lost"]);
    await read(1);
    expect(news()).toEqual(["lost of another partition"]);
  });

  it("are lost as well when nobody can say whether a result is on its way", async () => {
    const { missing, read, news } = setup();
    missing.lost([held("a")]);
    await read(0, new Error("NATS is away"));
    expect(news()).toEqual(["lost a"]);
  });

  it("are the business of the next owner when their partition leaves meanwhile, even when it comes back", async () => {
    const { missing, hosts, read, news } = setup();
    missing.lost([held("a"), held("b", 1)]);
    hosts.delete(0);
    hosts.set(1, {});
    await read(0, new Error("not the owner"));
    await read(1);
    expect(news()).toEqual([]);
  });
});

describe("an attempt that its worker does not know", () => {
  it("is given back without counting once the inbox is read, unless its result was in it", async () => {
    const { missing, read, news } = setup();
    const done = held("done");
    void missing.unknown(done);
    void missing.unknown(held("unknown"));
    (done.attempt as { over: boolean }).over = true;
    await read(0);
    expect(news()).toEqual(["returned unknown"]);
  });

  it("is asked for again when nobody can say whether its result is on its way", async () => {
    const { missing, read, news } = setup();
    const one = held("a");
    void missing.unknown(one);
    await read(0, new Error("NATS is away"));
    expect(one.recovered).toBe(true);
    expect(news()).toEqual([]);
  });
});
