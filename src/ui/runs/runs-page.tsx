/** The page "Runs". */
import type { JSX } from "preact";
import { EmptyState } from "../kit/empty-state.tsx";

export function RunsPage(): JSX.Element {
  return <EmptyState title="Runs" />;
}
