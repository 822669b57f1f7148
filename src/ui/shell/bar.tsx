/** The bar on top: the name, the pages, the theme, the help. On a narrow screen the pages are at the bottom, under the thumbs. */
import type { JSX } from "preact";
import { Link, route } from "../router.tsx";
import { PAGES } from "../pages.tsx";
import { about } from "./about.ts";
import { Icon, isIconName } from "./icons.tsx";
import { setTheme, theme, type Theme } from "./theme.ts";

const NEXT: Readonly<Record<Theme, Theme>> = { system: "dark", dark: "light", light: "system" };
const THEMES: Readonly<Record<Theme, string>> = { system: "the system's theme", dark: "dark theme", light: "light theme" };

export function Bar({ onHelp }: { readonly onHelp: () => void }): JSX.Element {
  return (
    <header class="shell-bar">
      <Link class="shell-name" href="/runs">
        <Icon name="sluice" />
        Sluice
      </Link>
      <Navigation />
      <span class="shell-space" />
      {about.value?.readOnly === true && (
        <span class="shell-tag" title="This dashboard shows and changes nothing">
          read-only
        </span>
      )}
      <button
        type="button"
        class="shell-button"
        title={`Now: ${THEMES[theme.value]}. Next: ${THEMES[NEXT[theme.value]]}`}
        aria-label={`Theme: ${theme.value}`}
        onClick={() => setTheme(NEXT[theme.value])}
      >
        <Icon name={theme.value} />
      </button>
      <button type="button" class="shell-button" title="Keys of this page (?)" aria-label="Keys of this page" onClick={onHelp}>
        ?
      </button>
    </header>
  );
}

function Navigation(): JSX.Element {
  const [current] = route.value.path;
  return (
    <nav class="shell-nav" aria-label="Pages">
      {PAGES.map(({ nav, path }) => {
        if (nav === undefined) return null;
        return (
          <Link
            key={nav.name}
            href={`/${path.join("/")}`}
            title={`${nav.name} (${nav.keys})`}
            aria-current={current === path[0] ? "page" : undefined}
          >
            {isIconName(nav.name) && <Icon name={nav.name} />}
            <span>{nav.name}</span>
          </Link>
        );
      })}
    </nav>
  );
}
