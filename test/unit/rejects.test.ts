/** What cannot be used is kept aside, also while servers fail. */
import { pino } from "pino";
import { expect, test } from "vitest";
import { Counters } from "../../src/engine/counters.ts";
import { Rejects } from "../../src/engine/rejects.ts";
import { NotConnectedError, TimeoutError } from "../../src/errors.ts";
import type { AckedPublishOptions } from "../../src/nats/ack-publisher.ts";
import { createNames } from "../../src/nats/subjects.ts";

test("a message that is put aside survives the loss of a server, once", async () => {
  const failures = [new NotConnectedError("lost"), new TimeoutError("publishing", 1)];
  const stored: { readonly subject: string; readonly headers: Readonly<Record<string, string>> }[] = [];
  const ids: (string | undefined)[] = [];
  const connection = {
    isClosed: false,
    publishAcked: (subject: string, _: unknown, { headers = {} }: AckedPublishOptions = {}) => {
      ids.push(headers["Nats-Msg-Id"]);
      const failure = failures.shift();
      if (failure !== undefined) return Promise.reject(failure);
      stored.push({ subject, headers });
      return Promise.resolve({ stream: "R", seq: 1, duplicate: false });
    },
  };
  const rejects = new Rejects(connection, createNames(), new Counters(), pino({ level: "silent" }));
  await rejects.put("events.a", { data: Buffer.from("{"), headers: { "Nats-Msg-Id": "theirs" } }, "no\nJSON");
  expect(stored).toMatchObject([
    { subject: "sluice.rejected.events.a", headers: { "Sluice-Msg-Id": "theirs", "Sluice-Reason": "no JSON" } },
  ]);
  expect([ids.length, new Set(ids).size, ids.includes("theirs")]).toEqual([3, 1, false]);
});
