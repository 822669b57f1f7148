/** Every second, on the second. */
import { defineWorkflow } from "sluice";
import { recorded } from "../support/scripted.ts";

export const ticking = defineWorkflow({
  name: "ticking",
  cron: { expression: "* * * * * *", timezone: "Europe/Berlin", input: { from: "cron" } },
}).step(
  "work",
  recorded((ctx) => ({ input: ctx.input as unknown, tick: ctx.metadata["tick"] })),
);
export const later = defineWorkflow({ name: "later" }).step(
  "work",
  recorded(() => "done"),
);
