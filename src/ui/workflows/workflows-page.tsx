/** The page "Workflows". */
import type { JSX } from "preact";
import { EmptyState } from "../kit/empty-state.tsx";

export function WorkflowsPage(): JSX.Element {
  return <EmptyState title="Workflows" />;
}
