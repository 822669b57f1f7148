/** The page "Workers". */
import type { JSX } from "preact";
import { EmptyState } from "../kit/empty-state.tsx";

export function WorkersPage(): JSX.Element {
  return <EmptyState title="Workers" />;
}
