/** The workflows of the benchmark: one no-op step each. */
import { type AnyWorkflow, defineWorkflow, Strategy } from "sluice";
import { z } from "zod";

export interface Starts {
  /** A run of `timed` starts: the time at which its event was sent. */
  readonly timed: (sentAt: number) => void;
  /** A run of `probe` starts. */
  readonly probe: (id: string) => void;
}

export function workflows(starts: Starts): AnyWorkflow[] {
  const keyed = (name: string, maxRuns: number): AnyWorkflow =>
    defineWorkflow({
      name,
      on: [`bench.${name}`],
      input: z.object({ key: z.string() }),
      concurrency: { key: "input.key", maxRuns, strategy: Strategy.GROUP_ROUND_ROBIN },
    }).step("noop", () => null);
  return [
    keyed("keyed", 5),
    keyed("backlog", 10),
    keyed("groups", 1),
    defineWorkflow({
      name: "timed",
      on: ["bench.timed"],
      input: z.object({ key: z.string(), sentAt: z.number() }),
      concurrency: { key: "input.key", maxRuns: 5, strategy: Strategy.GROUP_ROUND_ROBIN },
    }).step("noop", ({ input }) => {
      starts.timed(input.sentAt);
      return null;
    }),
    defineWorkflow({
      name: "probe",
      on: ["bench.probe"],
      input: z.object({ key: z.string(), id: z.string() }),
      concurrency: { key: "input.key", maxRuns: 100, strategy: Strategy.GROUP_ROUND_ROBIN },
    }).step("noop", ({ input }) => {
      starts.probe(input.id);
      return null;
    }),
    // Its steps wait for a worker for longer than a benchmark takes.
    defineWorkflow({
      name: "waiting",
      on: ["bench.waiting"],
      input: z.object({ key: z.string() }),
      concurrency: { key: "input.key", maxRuns: 10, strategy: Strategy.GROUP_ROUND_ROBIN },
      stepDefaults: { scheduleTimeout: "24h" },
    }).step("noop", () => null),
  ];
}
