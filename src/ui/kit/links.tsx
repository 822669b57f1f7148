/** Links to runs, groups and workflows: the same look and address everywhere. */
import type { ComponentChildren, JSX } from "preact";
import { Link, pathTo } from "../router.tsx";

export function RunLink({ id, children }: { readonly id: string; readonly children?: ComponentChildren }): JSX.Element {
  return (
    <Link class="kit-id" href={pathTo("runs", id)} title={id}>
      {children ?? shortId(id)}
    </Link>
  );
}

export interface GroupLinkProps {
  readonly limit: string;
  /** The concurrency key; `key` itself means something else in JSX. */
  readonly groupKey: string;
  readonly children?: ComponentChildren;
}

export function GroupLink({ limit, groupKey, children }: GroupLinkProps): JSX.Element {
  return (
    <Link href={pathTo("groups", limit, groupKey)} title={`${groupKey} (limit ${limit})`}>
      {children ?? groupKey}
    </Link>
  );
}

export function WorkflowLink({ name, children }: { readonly name: string; readonly children?: ComponentChildren }): JSX.Element {
  return <Link href={pathTo("workflows", name)}>{children ?? name}</Link>;
}

/** The end of an id is what tells two apart: ids begin with their time. */
export function shortId(id: string): string {
  return id.length <= 10 ? id : `…${id.slice(-8)}`;
}
