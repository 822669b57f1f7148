/** The life of a worker node as a machine: every order of events, stepped purely. */
import { describe, expect, it } from "vitest";
import { workerLife, type WorkerLifeEvent } from "../../machines/worker/worker-life.ts";
import { createStepper, type Step } from "../../src/step/stepper.ts";

const life = createStepper(workerLife);
const begin = (): Step => life.initial({ drainTimeoutMs: 1_000, deliveryTimeoutMs: 500 });

/** The names of the actions, with their params where they have any. */
const names = (step: Step): string[] =>
  step.actions.map(({ type, params }) =>
    params === undefined ? type : `${type} ${JSON.stringify(params.mode ?? params.reason ?? params.delayMs ?? "")}`,
  );

function walk(...events: (WorkerLifeEvent | { type: string })[]): { state: unknown; actions: string[]; step: Step } {
  let step = begin();
  const actions = names(step);
  for (const event of events) {
    step = life.step(step.snapshot, event);
    actions.push(...names(step));
  }
  return { state: step.snapshot.value, actions, step };
}

/** The event of the timer that the last step has set. */
function timer(...events: (WorkerLifeEvent | { type: string })[]): { type: string } {
  const set = walk(...events).step.actions.find(({ type }) => type === "timer.set");
  return set?.params.event as { type: string };
}

const RUNNING: WorkerLifeEvent[] = [{ type: "nats.connected" }, { type: "workflows.registered" }];
const STOP: WorkerLifeEvent = { type: "stop.requested" };

describe("the life of a worker", () => {
  it("goes from connecting over registering to running, and opens before it announces", () => {
    expect(walk(...RUNNING)).toMatchObject({ state: "running", actions: ["connect", "register", "open", 'announce "running"'] });
  });

  it("drains, delivers, says goodbye and ends", () => {
    const { state, actions, step } = walk(
      ...RUNNING,
      STOP,
      { type: "work.finished" },
      { type: "results.delivered" },
      { type: "connection.closed" },
    );
    expect(state).toBe("stopped");
    expect(step.snapshot.status).toBe("done");
    expect(actions.slice(4).filter((name) => !name.startsWith("timer.cancel"))).toEqual([
      'announce "draining"',
      "checkWork",
      "timer.set 1000",
      "deliver",
      "timer.set 500",
      'announce "stopped"',
      "close",
    ]);
  });

  it("hands back what still runs after the drain timeout, and waits for its end", () => {
    const drained = timer(...RUNNING, STOP);
    const { state, actions } = walk(...RUNNING, STOP, drained);
    expect(state).toBe("returning");
    expect(actions).toContain('returnWork "shutdown"');
    expect(walk(...RUNNING, STOP, drained, { type: "work.finished" }).state).toBe("delivering");
  });

  it("ends though the server does not take the last results, and reports that", () => {
    const before: WorkerLifeEvent[] = [...RUNNING, STOP, { type: "work.finished" }];
    const { state, actions } = walk(...before, timer(...before));
    expect(state).toBe("closing");
    expect(actions).toContain("reportUndelivered");
  });

  it("loses its work, not its life, when it is cut off", () => {
    const { state, actions } = walk(...RUNNING, { type: "contact.lost" });
    expect(state).toBe("running");
    expect(actions.at(-1)).toBe('returnWork "disconnected"');
    expect(walk(...RUNNING, STOP, { type: "contact.lost" }).state).toBe("draining");
  });

  it("can be stopped and can fail before it runs", () => {
    for (const events of [[], [RUNNING[0] as WorkerLifeEvent]]) {
      expect(walk(...events, STOP)).toMatchObject({ state: "closing" });
      expect(walk(...events, { type: "start.failed" })).toMatchObject({ state: "closing" });
    }
  });

  it("ends from wherever it is, whatever else happens, and never takes work after it was stopped", () => {
    const types = [
      "nats.connected",
      "workflows.registered",
      "start.failed",
      "contact.lost",
      "stop.requested",
      "work.finished",
      "results.delivered",
      "connection.closed",
    ];
    const seen = new Map<string, Step>();
    const explore = (step: Step, stopped: boolean): void => {
      const key = `${String(step.snapshot.value)} ${stopped}`;
      if (seen.has(key)) return;
      seen.set(key, step);
      const timers = step.actions
        .filter(({ type }) => type === "timer.set")
        .map(({ params }) => params.event as { type: string });
      for (const event of [...types.map((type) => ({ type })), ...timers]) {
        const next = life.step(step.snapshot, event);
        const after = stopped || event.type === "stop.requested";
        if (stopped) expect(names(next)).not.toContain("open");
        explore(next, after);
      }
    };
    explore(begin(), false);
    const states = new Set([...seen.values()].map(({ snapshot }) => String(snapshot.value)));
    expect([...states].sort()).toEqual([
      "closing",
      "connecting",
      "delivering",
      "draining",
      "registering",
      "returning",
      "running",
      "stopped",
    ]);
    for (const { snapshot } of seen.values()) {
      let step: Step = { snapshot, actions: [] };
      for (const type of ["stop.requested", "work.finished", "results.delivered", "connection.closed"])
        step = life.step(step.snapshot, { type });
      expect(step.snapshot.value).toBe("stopped");
    }
  });
});
