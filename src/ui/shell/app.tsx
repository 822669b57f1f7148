/** The whole page: the bar, the health line, and the page that the address names. */
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { Toasts } from "../kit/toast.tsx";
import { startKeys, useKeys } from "../kit/keys.tsx";
import { EmptyState } from "../kit/empty-state.tsx";
import { pageOf, PAGES } from "../pages.tsx";
import { Link, navigate, route } from "../router.tsx";
import { startAbout } from "./about.ts";
import { ErrorBoundary } from "./error-boundary.tsx";
import "./shell.css";

export function App(): JSX.Element {
  const { path } = route.value;
  const page = pageOf(path);
  useEffect(() => startKeys(), []);
  useEffect(() => startAbout(), []);
  useEffect(() => {
    if (path.length === 0) navigate("/runs", { replace: true });
  }, [path]);
  const title = page?.title(path) ?? "Sluice";
  useEffect(() => {
    document.title = `${title} · Sluice`;
  }, [title]);
  useKeys({
    ...Object.fromEntries(
      PAGES.flatMap((entry) =>
        entry.nav === undefined
          ? []
          : [[entry.nav.keys, { does: `go to ${entry.nav.name}`, run: () => navigate(`/${entry.path.join("/")}`) }]],
      ),
    ),
    ...(page?.up !== undefined && { Escape: { does: "back to the list", run: () => navigate(page.up ?? "/") } }),
  });
  const Page = page?.component;
  return (
    <div class="shell">
      <header class="shell-bar">
        <Link class="shell-name" href="/runs">
          Sluice
        </Link>
        <nav class="shell-nav" aria-label="Pages">
          {PAGES.map(
            (entry) =>
              entry.nav !== undefined && (
                <Link
                  key={entry.nav.name}
                  href={`/${entry.path.join("/")}`}
                  aria-current={path[0] === entry.path[0] ? "page" : undefined}
                >
                  {entry.nav.name}
                </Link>
              ),
          )}
        </nav>
      </header>
      <main class="shell-main" id="main" tabIndex={-1}>
        <ErrorBoundary key={path.join("/")}>
          {Page === undefined ? <EmptyState title="There is no such page" /> : <Page />}
        </ErrorBoundary>
      </main>
      <Toasts />
    </div>
  );
}
