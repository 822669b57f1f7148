/** The page "Workflow". */
import type { JSX } from "preact";
import { EmptyState } from "../kit/empty-state.tsx";

export function WorkflowPage(): JSX.Element {
  return <EmptyState title="Workflow" />;
}
