/** `sluice/engine`: engine nodes, for programs that run one themselves. */
export { createEngine, startEngine } from "./engine.ts";
export type { ChangeCounts, Counters, Distribution, EngineStats } from "./counters.ts";
export type { Engine } from "./engine.ts";
export type { EngineOptions } from "./options.ts";
