/** The whole page: the bar, the health line, and the page that the address names. */
import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { EmptyState } from "../kit/empty-state.tsx";
import { type KeyTable, startKeys, useKeys } from "../kit/keys.tsx";
import { Toasts } from "../kit/toast.tsx";
import { connection } from "../live.ts";
import { pageOf, PAGES } from "../pages.tsx";
import { goUp, Link, navigate, route } from "../router.tsx";
import { startAbout } from "./about.ts";
import { Bar } from "./bar.tsx";
import { ErrorBoundary } from "./error-boundary.tsx";
import { startHealth } from "./health.ts";
import { HealthLine } from "./health-line.tsx";
import { Help } from "./help.tsx";
import "./shell.css";

const GO: KeyTable = Object.fromEntries(
  PAGES.flatMap(({ nav, path }) =>
    nav === undefined ? [] : [[nav.keys, { does: `go to ${nav.name}`, run: () => navigate(`/${path.join("/")}`) }]],
  ),
);

export function App(): JSX.Element {
  const { path } = route.value;
  const page = pageOf(path);
  const [help, setHelp] = useState(false);
  useLayoutEffect(() => startKeys(), []);
  useEffect(() => startAbout(), []);
  useEffect(() => startHealth(), []);
  useEffect(() => {
    if (path.length === 0) navigate("/runs", { replace: true });
  }, [path]);
  const main = useMainFocus(path.join("/"));
  useTitle(path.length === 0 ? undefined : (page?.title(path) ?? "Not found"));
  const up = page?.up;
  useKeys(
    {
      "/": { does: "to the filter", run: () => document.querySelector<HTMLElement>("[data-filter]")?.focus() },
      ...GO,
      "?": { does: "this list", run: () => setHelp(true) },
      ...(up !== undefined && { Escape: { does: "back to the list", run: () => goUp(up) } }),
    },
    { below: true },
  );
  const Page = page?.component;
  return (
    <div class="shell">
      <a class="shell-skip" href="#main">
        Skip to the content
      </a>
      <Bar onHelp={() => setHelp(true)} />
      <HealthLine />
      {connection.value === "gone" && (
        <div class="shell-banner" role="alert">
          The server does not answer. What you see is what was known last; the page goes on by itself when it is back.
        </div>
      )}
      <main class="shell-main" id="main" tabIndex={-1} ref={main}>
        <ErrorBoundary key={path.join("/")}>{Page === undefined ? path.length > 0 && <NotFound /> : <Page />}</ErrorBoundary>
      </main>
      <Toasts />
      {help && <Help onClose={() => setHelp(false)} />}
    </div>
  );
}

function NotFound(): JSX.Element {
  return <EmptyState title="There is no such page" text={<Link href="/runs">To the runs</Link>} />;
}

function useTitle(title: string | undefined): void {
  useEffect(() => {
    document.title = title === undefined ? "Sluice" : `${title} · Sluice`;
  }, [title]);
}

/** Another page: who reads by keyboard or screen reader begins at its content. Not for the first one, nor within a page. */
function useMainFocus(place: string) {
  const main = useRef<HTMLElement>(null);
  const last = useRef(place);
  useEffect(() => {
    if (last.current !== "" && last.current !== place) main.current?.focus({ preventScroll: true });
    last.current = place;
  }, [place]);
  return main;
}
