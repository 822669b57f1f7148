/** The page "Group". */
import type { JSX } from "preact";
import { EmptyState } from "../kit/empty-state.tsx";

export function GroupPage(): JSX.Element {
  return <EmptyState title="Group" />;
}
