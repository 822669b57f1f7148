/** The page "Events". */
import type { JSX } from "preact";
import { EmptyState } from "../kit/empty-state.tsx";

export function EventsPage(): JSX.Element {
  return <EmptyState title="Events" />;
}
