/** The workflows of the benchmark: one no-op step each. */
import { type AnyWorkflow, defineWorkflow, Strategy } from "sluice";
import { z } from "zod";

/** `onStart` gets the sending time of events of `timed`. */
export function workflows(onStart: (sentAt: number) => void = () => undefined): AnyWorkflow[] {
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
      onStart(input.sentAt);
      return null;
    }),
  ];
}
