/** The page "Inspect". */
import type { JSX } from "preact";
import { EmptyState } from "../kit/empty-state.tsx";

export function InspectPage(): JSX.Element {
  return <EmptyState title="Inspect" />;
}
