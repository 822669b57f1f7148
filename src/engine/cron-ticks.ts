/**
 * When crons are due. Pure but for croner; expressions were checked when they were defined.
 */
import { Cron } from "croner";
import type { CompiledWorkflow } from "./workflows.ts";

const compiled = new Map<string, Cron>();
const MAX_COMPILED = 10_000;

/** The first tick of the cron with that index after `afterMs`, ms since the epoch; undefined when there is none. */
export function nextTick(workflow: CompiledWorkflow, index: number, afterMs: number): number | undefined {
  const spec = workflow.spec.cron[index];
  if (spec === undefined) return undefined;
  const id = `${spec.timezone ?? "UTC"} ${spec.expression}`;
  let cron = compiled.get(id);
  if (cron === undefined) {
    if (compiled.size >= MAX_COMPILED) compiled.clear();
    cron = new Cron(spec.expression, { paused: true, mode: "5-or-6-parts", timezone: spec.timezone ?? "UTC" });
    compiled.set(id, cron);
  }
  return cron.nextRun(new Date(afterMs))?.getTime();
}
