/** Addresses and what they show, over the browser's history. Knows nothing of the pages (`pages.tsx` is their table). */
import { signal } from "@preact/signals";
import type { ComponentChildren, JSX, TargetedMouseEvent } from "preact";

export interface Route {
  /** The segments of the path, decoded: `/groups/a/b%2Fc` is `["groups", "a", "b/c"]`. */
  readonly path: readonly string[];
  readonly query: URLSearchParams;
}

export const route = signal<Route>(read());

export interface NavigateOptions {
  /** In the place of the current entry of the history, not after it. */
  readonly replace?: boolean;
}

export function navigate(url: string, { replace = false }: NavigateOptions = {}): void {
  const target = new URL(url, location.href);
  if (target.href === location.href) return;
  if (replace) history.replaceState(history.state, "", target);
  else history.pushState({ from: location.pathname }, "", target);
  route.value = read();
}

/** Back to where one came from, if that was this list (as it was: its filter, its place); to the list otherwise. */
export function goUp(list: string): void {
  const state = history.state as { readonly from?: string } | null;
  if (state?.from === list) history.back();
  else navigate(list);
}

/** Sets (or, with undefined and "", removes) parameters of the current address. A new entry in the history, unless `replace`. */
export function setQuery(changes: Readonly<Record<string, string | number | undefined>>, options: NavigateOptions = {}): void {
  const url = new URL(location.href);
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined || value === "") url.searchParams.delete(name);
    else url.searchParams.set(name, String(value));
  }
  navigate(url.href, options);
}

/** A path of encoded segments: `pathTo("groups", limit, key)`. */
export function pathTo(...segments: readonly string[]): string {
  return `/${segments.map(encodeURIComponent).join("/")}`;
}

export interface LinkProps {
  readonly href: string;
  readonly class?: string | undefined;
  readonly title?: string | undefined;
  readonly children?: ComponentChildren;
  readonly "aria-current"?: "page" | undefined;
  readonly "aria-label"?: string | undefined;
  readonly tabIndex?: number | undefined;
}

/** An ordinary link (it opens in a new tab, can be copied, …) that does not load the page anew. */
export function Link({ href, children, ...rest }: LinkProps): JSX.Element {
  const onClick = (event: TargetedMouseEvent<HTMLAnchorElement>) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    navigate(href);
  };
  return (
    <a {...rest} href={href} onClick={onClick}>
      {children}
    </a>
  );
}

window.addEventListener("popstate", () => {
  route.value = read();
});

function read(): Route {
  const path = location.pathname.split("/").filter((segment) => segment !== "");
  return { path: path.map(decode), query: new URLSearchParams(location.search) };
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
