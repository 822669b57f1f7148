/** Served by a worker that comes and goes. Its step waits 400 ms for one at most, that of `orphan-patient` five minutes. */
import { defineWorkflow } from "sluice";
import { scripted } from "../support/scripted.ts";

export const orphan = defineWorkflow({ name: "orphan" }).step("only", { scheduleTimeout: "400ms" }, scripted);
export const orphanPatient = defineWorkflow({ name: "orphan-patient" }).step("only", scripted);
