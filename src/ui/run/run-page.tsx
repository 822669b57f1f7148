/** The page "Run". */
import type { JSX } from "preact";
import { EmptyState } from "../kit/empty-state.tsx";

export function RunPage(): JSX.Element {
  return <EmptyState title="Run" />;
}
