/** The page "Groups". */
import type { JSX } from "preact";
import { EmptyState } from "../kit/empty-state.tsx";

export function GroupsPage(): JSX.Element {
  return <EmptyState title="Groups" />;
}
