/** The table of the pages: which address shows what, its title, its key, its place in the navigation. */
import type { ComponentType } from "preact";
import { EventsPage } from "./events/events-page.tsx";
import { GroupPage } from "./groups/group-page.tsx";
import { GroupsPage } from "./groups/groups-page.tsx";
import { InspectPage } from "./inspect/inspect-page.tsx";
import { RunPage } from "./run/run-page.tsx";
import { RunsPage } from "./runs/runs-page.tsx";
import { ClusterMachinePage } from "./workers/cluster-machine-page.tsx";
import { WorkersPage } from "./workers/workers-page.tsx";
import { WorkflowPage } from "./workflows/workflow-page.tsx";
import { WorkflowsPage } from "./workflows/workflows-page.tsx";

export interface PageEntry {
  /** Segments; one that begins with a colon stands for anything. */
  readonly path: readonly string[];
  readonly component: ComponentType;
  readonly title: (path: readonly string[]) => string;
  /** Keys that lead here, and the name in the navigation. */
  readonly nav?: { readonly name: string; readonly keys: string };
  /** Where `Esc` goes from here. */
  readonly up?: string;
}

export const PAGES: readonly PageEntry[] = [
  { path: ["runs"], component: RunsPage, title: () => "Runs", nav: { name: "Runs", keys: "g r" } },
  { path: ["runs", ":id"], component: RunPage, title: ([, id = ""]) => `Run ${id}`, up: "/runs" },
  { path: ["groups"], component: GroupsPage, title: () => "Groups", nav: { name: "Groups", keys: "g g" } },
  { path: ["groups", ":limit", ":key"], component: GroupPage, title: ([, limit, key]) => `${key} · ${limit}`, up: "/groups" },
  { path: ["workflows"], component: WorkflowsPage, title: () => "Workflows", nav: { name: "Workflows", keys: "g w" } },
  { path: ["workflows", ":name"], component: WorkflowPage, title: ([, name = ""]) => name, up: "/workflows" },
  { path: ["workers"], component: WorkersPage, title: () => "Workers", nav: { name: "Workers", keys: "g o" } },
  {
    path: ["workers", "machines", ":machine"],
    component: ClusterMachinePage,
    title: ([, , machine = ""]) => (machine === "node" ? "Life of an engine node" : "Ownership of a partition"),
    up: "/workers",
  },
  { path: ["events"], component: EventsPage, title: () => "Events", nav: { name: "Events", keys: "g e" } },
  { path: ["inspect"], component: InspectPage, title: () => "Inspect", nav: { name: "Inspect", keys: "g i" } },
];

export function pageOf(path: readonly string[]): PageEntry | undefined {
  return PAGES.find(
    (page) => page.path.length === path.length && page.path.every((segment, i) => segment.startsWith(":") || segment === path[i]),
  );
}
