/** The chart model of a machine, and what is made of it: for the dashboard, the engine's counts, and whoever exports a chart. */
export { activeIds, innermost, pathLabel, standing } from "./active.ts";
export { chartModelSteps, createChartModel } from "./create-chart-model.ts";
export { duration } from "./labels.ts";
export { toMermaid } from "./mermaid.ts";
export { lineage, nodeOf } from "./model.ts";
export type { ChartEdge, ChartInvoke, ChartModel, ChartNode, NodeKind, Tone } from "./model.ts";
export { collapsible, defaultCollapsed, isStep, MAX_VISIBLE, visibleChart, visibleFor } from "./visible.ts";
export type { Arrow, VisibleChart } from "./visible.ts";
export { toXStateJson } from "./xstate-json.ts";
