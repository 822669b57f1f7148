/** The checker of the chaos test finds each kind of wrong history, and nothing in a right one. */
import { describe, expect, it } from "vitest";
import type { Fact } from "../../src/engine/facts.ts";
import type { HandlerRecord } from "../acceptance/support/records.ts";
import { checkHistory } from "../chaos/checker.ts";
import type { History, JournalMessage, Rule, WorkflowRules } from "../chaos/history.ts";

const workflow = (name: string, strategy: WorkflowRules["limits"][number]["strategy"], maxRuns = 1): WorkflowRules => ({
  name,
  on: [`chaos.${name}`],
  steps: ["only"],
  limits: [{ name, maxRuns, strategy }],
  graceMs: 1_000,
});
const WORKFLOWS = [
  workflow("wait", "GROUP_ROUND_ROBIN"),
  workflow("replace", "CANCEL_IN_PROGRESS"),
  workflow("refuse", "CANCEL_NEWEST"),
  workflow("shed", "CANCEL_QUEUED_EXCEPT_NEWEST"),
];

/** A history in the making: one partition, one key, a message per call of `journal`. What is right is written by the methods; tests spoil it. */
class Story {
  readonly journalMessages: JournalMessage[] = [];
  readonly records: HandlerRecord[] = [];
  readonly answers: { id: string; workflow: string; status: "SUCCEEDED" | "FAILED" | "CANCELLED"; reason?: string }[] = [];
  readonly acknowledged: { n: number; event: string; seq: number }[] = [];
  at = 0;

  journal(...facts: readonly object[]): this {
    this.at += 100;
    const previous = this.journalMessages.at(-1)?.seq ?? 0;
    const f = facts as readonly Fact[];
    this.journalMessages.push({ partition: 0, seq: previous + 2, previous, at: this.at, batch: { v: 1, in: previous, f } });
    return this;
  }

  arrives(n: number, phase: string, options: { wf?: string; pri?: number; seq?: number } = {}): this {
    const { wf = "wait", pri, seq = n } = options;
    this.acknowledged.push({ n, event: `chaos.${wf}`, seq });
    const fact = { k: "created", at: 0, run: `r${n}`, wf, ver: "1", phase, keys: ["a"], input: { n }, ev: { name: "", seq } };
    return this.journal({ ...fact, ...(pri !== undefined && { pri }) });
  }

  admitted(n: number): this {
    return this.journal({ k: "admitted", at: 0, run: `r${n}` });
  }

  event(n: number, type: string, rest: object = {}): this {
    return this.journal({ k: "event", at: 0, run: `r${n}`, ev: { type, ...rest } });
  }

  assigned(n: number, attempt = 1): this {
    return this.event(n, "step.started.only", { attemptId: `r${n}.only.${attempt}`, worker: "w" });
  }

  handler(what: "start" | "end", n: number, options: { attempt?: number; pid?: number; wf?: string } = {}): this {
    const { attempt = 1, pid = 1, wf = "wait" } = options;
    this.at += 1;
    const entry = {
      what,
      at: this.at,
      pid,
      workflow: wf,
      run: `r${n}`,
      step: "only",
      attempt,
      attemptId: `r${n}.only.${attempt}`,
    };
    this.records.push({ ...entry, keys: ["a"], n, ...(what === "end" && { outcome: "returned" as const }) });
    return this;
  }

  done(n: number, attempt = 1): this {
    return this.event(n, "xstate.done.actor.only", { output: { n, attemptId: `r${n}.only.${attempt}` } });
  }

  ended(n: number, status: "SUCCEEDED" | "FAILED" | "CANCELLED" = "SUCCEEDED", reason?: string, wf = "wait"): this {
    this.answers.push({ id: `r${n}`, workflow: wf, status, ...(reason !== undefined && { reason }) });
    return this.journal({ k: "finished", at: 0, run: `r${n}`, status, ...(reason !== undefined && { reason }) });
  }

  /** From the assignment to the end. */
  executed(n: number): this {
    return this.assigned(n).handler("start", n).handler("end", n).done(n).ended(n);
  }

  history(changes: Partial<History> = {}): History {
    return {
      workflows: WORKFLOWS,
      acknowledged: this.acknowledged,
      unsure: new Set(),
      accepted: [],
      cancelRequested: new Set(),
      doomed: new Set(),
      journal: this.journalMessages,
      records: this.records,
      kills: [],
      troubles: [],
      workerDeadlineMs: 2_000,
      answers: this.answers,
      usedSlots: [{ worker: "w", used: 0 }],
      heldGroups: [],
      probes: [{ limit: "wait", key: "a", startedAfterMs: 20 }],
      lostByServers: [],
      failures: [],
      ...changes,
    };
  }

  /** The rules that are broken. */
  broken(changes: Partial<History> = {}): Rule[] {
    return [...new Set(checkHistory(this.history(changes)).map(({ rule }) => rule))];
  }
}

/** Two runs of a key, one after the other. */
const two = (): Story => new Story().arrives(1, "active").arrives(2, "waiting").executed(1).admitted(2).executed(2);

describe("the checker accepts", () => {
  it("runs of a key that come one after the other", () => {
    expect(checkHistory(two().history())).toEqual([]);
  });

  it("a run that moved from the partition where its key was computed", () => {
    const story = new Story().arrives(1, "keying");
    story.journal({ k: "moved", at: 0, run: "r1", to: 1, n: 1, keys: ["a"] });
    story.journal({
      k: "created",
      at: 0,
      run: "r1",
      wf: "wait",
      ver: "1",
      phase: "active",
      keys: ["a"],
      input: { n: 1 },
      ev: { name: "", seq: 1 },
    });
    expect(checkHistory(story.executed(1).history())).toEqual([]);
  });

  it("more runs at once after the limit of a group was raised, and those that go on after it was cut", () => {
    const story = new Story()
      .journal({ k: "group", limit: "wait", key: "a", maxRuns: 2 })
      .arrives(1, "active")
      .arrives(2, "active");
    story.assigned(1).assigned(2).handler("start", 1);
    story.journal({ k: "group", limit: "wait", key: "a", maxRuns: null });
    story.handler("start", 2).handler("end", 1).handler("end", 2).done(1).ended(1).done(2).ended(2);
    expect(checkHistory(story.history())).toEqual([]);
  });

  it("a run of higher priority that goes before an earlier one", () => {
    const story = new Story().arrives(1, "active").arrives(2, "waiting").arrives(3, "waiting", { pri: 1 });
    story.executed(1).admitted(3).executed(3).admitted(2).executed(2);
    expect(checkHistory(story.history())).toEqual([]);
  });

  it("a run that is replaced, and one that is turned away", () => {
    const reason = "CANCELLED_BY_CONCURRENCY_LIMIT";
    const story = new Story().arrives(1, "active", { wf: "replace" }).assigned(1).handler("start", 1, { wf: "replace" });
    story.arrives(2, "waiting", { wf: "replace" }).event(1, "run.cancelled").handler("end", 1, { wf: "replace" });
    story.event(1, "step.stopped.only").ended(1, "CANCELLED", reason, "replace").admitted(2);
    story
      .assigned(2)
      .handler("start", 2, { wf: "replace" })
      .handler("end", 2, { wf: "replace" })
      .done(2)
      .ended(2, "SUCCEEDED", undefined, "replace");
    story.arrives(3, "refused", { wf: "refuse" }).ended(3, "CANCELLED", reason, "refuse");
    expect(checkHistory(story.history())).toEqual([]);
  });

  it("the execution of a paused worker that goes on after its step was rightly given to another", () => {
    const { story, troubles } = zombie();
    expect(checkHistory(story.history({ troubles }))).toEqual([]);
  });

  it("the execution of a killed worker, which ended with it", () => {
    const story = new Story().arrives(1, "active").assigned(1).handler("start", 1);
    story
      .event(1, "step.lost.only")
      .assigned(1, 2)
      .handler("start", 1, { attempt: 2, pid: 2 })
      .handler("end", 1, { attempt: 2, pid: 2 });
    story.done(1, 2).ended(1);
    expect(checkHistory(story.history({ kills: [{ pid: 1, at: 150 }] }))).toEqual([]);
  });

  it("an execution that took no notice of being told to stop, until the grace is over", () => {
    expect(deaf(1_000).broken()).toEqual([]);
  });

  it("an event without an answer, with or without a run", () => {
    const story = new Story().arrives(1, "active").executed(1);
    const [first] = story.acknowledged.splice(0);
    expect(story.broken({ unsure: new Set([first?.n ?? 0, 77]) })).toEqual([]);
  });

  it("owners whose epochs grow", () => {
    const story = new Story()
      .journal({ k: "owner", at: 0, node: "a", epoch: 1 })
      .journal({ k: "owner", at: 0, node: "b", epoch: 4 });
    expect(story.broken()).toEqual([]);
  });
});

/** The worker of run 1 falls silent; the step is executed elsewhere, run 1 ends, run 2 starts, and the first handler still runs. */
function zombie() {
  const story = new Story().arrives(1, "active").arrives(2, "waiting").assigned(1).handler("start", 1);
  const from = story.at;
  story.at += 2_000;
  story
    .event(1, "step.lost.only")
    .assigned(1, 2)
    .handler("start", 1, { attempt: 2, pid: 2 })
    .handler("end", 1, { attempt: 2, pid: 2 });
  story.done(1, 2).ended(1).admitted(2).assigned(2).handler("start", 2, { pid: 2 });
  story.handler("end", 1).handler("end", 2, { pid: 2 }).done(2).ended(2);
  return { story, troubles: [{ pids: [1], from, to: from + 2_500 }] };
}

/** Run 1 is replaced; its handler goes on, and the slot is given to run 2 after so many ms. */
function deaf(afterMs: number): Story {
  const story = new Story().arrives(1, "active", { wf: "replace" }).assigned(1).handler("start", 1, { wf: "replace" });
  story.arrives(2, "waiting", { wf: "replace" }).event(1, "run.cancelled");
  story.at += afterMs - 100;
  story
    .ended(1, "CANCELLED", "CANCELLED_BY_CONCURRENCY_LIMIT", "replace")
    .admitted(2)
    .assigned(2)
    .handler("start", 2, { wf: "replace" });
  story.handler("end", 1, { wf: "replace" }).handler("end", 2, { wf: "replace" });
  return story.done(2).ended(2, "SUCCEEDED", undefined, "replace");
}

describe("the checker finds", () => {
  it("a message that a writer added who did not know the one before it", () => {
    const story = two();
    story.journalMessages[3] = { ...(story.journalMessages[3] as JournalMessage), previous: story.journalMessages[1]?.seq };
    expect(story.broken()).toEqual(["journal-chain"]);
  });

  it("a message of the journal that is missing", () => {
    const story = two().journal().journal();
    story.journalMessages.splice(-2, 1);
    expect(story.broken()).toEqual(["journal-chain"]);
  });

  it("a partition that read its inbox backwards", () => {
    const story = two().journal();
    const last = story.journalMessages.pop() as JournalMessage;
    story.journalMessages.push({ ...last, batch: { ...last.batch, in: 0 } });
    expect(story.broken()).toEqual(["journal-chain"]);
  });

  it.each([3, 4])("an owner that claims with epoch %i after epoch 4", (epoch) => {
    const story = two().journal({ k: "owner", at: 0, node: "a", epoch: 4 }).journal({ k: "owner", at: 0, node: "b", epoch });
    expect(story.broken()).toEqual(["owner-epochs"]);
  });

  it("an acknowledged event without a run", () => {
    const story = two();
    story.acknowledged.push({ n: 3, event: "chaos.wait", seq: 3 });
    expect(story.broken()).toEqual(["event-has-its-runs"]);
  });

  it("an event with two runs", () => {
    const story = two().arrives(3, "active", { seq: 2 }).executed(3);
    story.acknowledged.pop();
    expect(story.broken()).toEqual(["event-has-its-runs"]);
  });

  it("a run that nothing asked for", () => {
    const story = two();
    story.acknowledged.pop();
    expect(story.broken()).toEqual(["event-has-its-runs"]);
  });

  it("an accepted call without a run", () => {
    expect(two().broken({ accepted: [{ n: 9, workflow: "wait", run: "r9" }] })).toEqual(["event-has-its-runs"]);
  });

  it("a run that has not ended", () => {
    expect(two().arrives(3, "active").broken()).toEqual(["run-ended"]);
  });

  it("a run that has ended twice", () => {
    const story = two();
    story.journal({ k: "finished", at: 0, run: "r1", status: "SUCCEEDED" });
    expect(story.broken()).toEqual(["run-ended"]);
  });

  it.each([
    ["a cancelled run where all wait", "wait", "waiting", "CANCELLED", "CANCELLED_BY_CONCURRENCY_LIMIT"],
    ["a cancelled run that nobody asked to cancel", "wait", "waiting", "CANCELLED", "CANCELLED_BY_USER"],
    ["a failure of handlers that do not fail", "wait", "waiting", "FAILED", "STEP_FAILED"],
    [
      "an active run that was cancelled where only newcomers are",
      "refuse",
      "active",
      "CANCELLED",
      "CANCELLED_BY_CONCURRENCY_LIMIT",
    ],
    [
      "an active run that was cancelled where only waiting ones are",
      "shed",
      "active",
      "CANCELLED",
      "CANCELLED_BY_CONCURRENCY_LIMIT",
    ],
    ["a reason that does not exist", "wait", "waiting", "CANCELLED", "SCHEDULING_TIMED_OUT"],
  ] as const)("%s", (_, wf, phase, status, reason) => {
    expect(new Story().arrives(1, phase, { wf }).ended(1, status, reason, wf).broken()).toEqual(["end-is-legal"]);
  });

  it("a run that gave up on workers too soon", () => {
    const lost = (times: number): Story => {
      const story = new Story().arrives(1, "active");
      for (let attempt = 1; attempt <= times; attempt++) story.assigned(1, attempt).event(1, "step.lost.only");
      return story.ended(1, "FAILED", "WORKER_LOST");
    };
    expect(lost(4).broken()).toEqual(["end-is-legal"]);
    expect(lost(5).broken()).toEqual([]);
  });

  it("a success of a run whose handlers always throw", () => {
    expect(two().broken({ doomed: new Set([2]) })).toEqual(["end-is-legal"]);
  });

  it("an admission above the limit", () => {
    const story = new Story().arrives(1, "active").arrives(2, "active").executed(1).executed(2);
    expect(story.broken()).toEqual(["limit-in-journal"]);
  });

  it("an admission after the limit was cut", () => {
    const story = new Story().journal({ k: "group", limit: "wait", key: "a", maxRuns: 2 }).arrives(1, "active");
    story.journal({ k: "group", limit: "wait", key: "a", maxRuns: 1 }).arrives(2, "active").executed(1).executed(2);
    expect(story.broken()).toEqual(["limit-in-journal"]);
  });

  it("an admission while the group is paused", () => {
    const story = new Story().journal({ k: "group", limit: "wait", key: "a", paused: true }).arrives(1, "active").executed(1);
    expect(story.broken()).toEqual(["admitted-while-paused"]);
  });

  it("handlers of two runs of a key at once", () => {
    const story = new Story().arrives(1, "active").arrives(2, "waiting").assigned(1).handler("start", 1).done(1).ended(1);
    story.admitted(2).assigned(2).handler("start", 2).handler("end", 1).handler("end", 2).done(2).ended(2);
    expect(story.broken()).toEqual(["limit-in-handlers"]);
  });

  it("a step that was given to another while its worker was well", () => {
    expect(zombie().story.broken()).toEqual(["limit-in-handlers"]);
    const { story, troubles } = zombie();
    expect(story.broken({ troubles: troubles.map((trouble) => ({ ...trouble, pids: [7] })) })).toEqual(["limit-in-handlers"]);
  });

  it("a slot that was taken back before the grace was over", () => {
    expect(deaf(500).broken()).toEqual(["limit-in-handlers"]);
  });

  it("a run that was admitted before an earlier one", () => {
    const story = new Story().arrives(1, "active").arrives(2, "waiting").arrives(3, "waiting");
    story.executed(1).admitted(3).executed(3).admitted(2).executed(2);
    expect(story.broken()).toEqual(["order"]);
  });

  it("a run that was admitted before one of higher priority", () => {
    const story = new Story().arrives(1, "active").arrives(2, "waiting").arrives(3, "waiting", { pri: 1 });
    story.executed(1).admitted(2).executed(2).admitted(3).executed(3);
    expect(story.broken()).toEqual(["order"]);
  });

  it("runs that arrived in another order than their events", () => {
    const story = new Story()
      .arrives(1, "active", { seq: 2 })
      .arrives(2, "waiting", { seq: 1 })
      .executed(1)
      .admitted(2)
      .executed(2);
    expect(story.broken()).toEqual(["order"]);
  });

  it("a step with two results", () => {
    const story = new Story().arrives(1, "active").assigned(1).handler("start", 1).handler("end", 1).done(1).done(1).ended(1);
    expect(story.broken()).toEqual(["one-result-per-step"]);
  });

  it("a result that no handler returned", () => {
    const story = two();
    story.records.splice(-1, 1, { ...(story.records.at(-1) as HandlerRecord), outcome: "threw" });
    expect(story.broken()).toEqual(["one-result-per-step"]);
  });

  it("a run that succeeded without a result of a step", () => {
    expect(new Story().arrives(1, "active").ended(1).broken()).toEqual(["step-lost"]);
  });

  it("an execution that no journal knows", () => {
    const story = two().handler("start", 1, { attempt: 2, pid: 2 }).handler("end", 1, { attempt: 2, pid: 2 });
    expect(story.broken()).toEqual(["execution-is-recorded"]);
  });

  it("an execution that began before it was recorded", () => {
    const story = new Story().arrives(1, "active").handler("start", 1).handler("end", 1).assigned(1).done(1).ended(1);
    expect(story.broken()).toEqual(["execution-is-recorded"]);
  });

  it("an attempt that one process executed twice", () => {
    const story = new Story()
      .arrives(1, "active")
      .assigned(1)
      .handler("start", 1)
      .handler("start", 1)
      .handler("end", 1)
      .done(1)
      .ended(1);
    expect(story.broken()).toEqual(["execution-is-recorded"]);
  });

  it("an execution that never ended in a process that lives", () => {
    const story = new Story().arrives(1, "active").assigned(1).handler("start", 1, { pid: 2 });
    story
      .event(1, "step.lost.only")
      .assigned(1, 2)
      .handler("start", 1, { attempt: 2 })
      .handler("end", 1, { attempt: 2 })
      .done(1, 2)
      .ended(1);
    expect(story.broken()).toEqual(["execution-ends"]);
  });

  it("a run of which the API says something else, or nothing", () => {
    expect(two().broken({ answers: [{ id: "r1", workflow: "wait", status: "SUCCEEDED" }] })).toEqual(["api-agrees"]);
    const story = two();
    story.answers.splice(0, 1, { id: "r1", workflow: "wait", status: "FAILED", reason: "STEP_FAILED" });
    expect(story.broken()).toEqual(["api-agrees"]);
  });

  it("what the servers have lost, and what has failed as a whole", () => {
    expect(two().broken({ lostByServers: ["a snapshot"] })).toEqual(["storage-lost"]);
    expect(two().broken({ failures: ["engine-0 ended by itself"] })).toEqual(["keeps-working"]);
  });

  it("slots, groups and keys that are still held", () => {
    expect(two().broken({ usedSlots: [{ worker: "w", used: 1 }] })).toEqual(["slot-leaked"]);
    expect(two().broken({ heldGroups: [{ limit: "wait", key: "a", active: 1, waiting: 0 }] })).toEqual(["slot-leaked"]);
    expect(two().broken({ probes: [{ limit: "wait", key: "a", startedAfterMs: undefined }] })).toEqual(["slot-leaked"]);
    expect(two().broken({ probes: [{ limit: "wait", key: "a", startedAfterMs: 2_500 }] })).toEqual(["slot-leaked"]);
  });
});
