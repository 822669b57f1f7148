/** `sluice/dashboard`: the dashboard and the HTTP API, for programs that serve them themselves. */
export { startDashboard } from "./dashboard.ts";
export type { Dashboard } from "./dashboard.ts";
export type { DashboardOptions } from "./options.ts";
export type { DashboardEngine } from "./source.ts";
