/** The few pictures of the shell, drawn with the colour of the text around them. */
import type { JSX } from "preact";

const PATHS = {
  sluice: "M3 2v16M17 2v16M3 6h14M6 11c1.3-1.2 2.7-1.2 4 0s2.7 1.2 4 0M6 15.5c1.3-1.2 2.7-1.2 4 0s2.7 1.2 4 0",
  Runs: "M4 5h12M4 10h12M4 15h7",
  Groups: "M4 4.5h3v3H4zM8.5 4.5h3v3h-3zM13 4.5h3v3h-3zM4 12.5h3v3H4zM8.5 12.5h3v3h-3z",
  Workflows: "M3 4h5v4H3zM12 12h5v4h-5zM5.5 8v6H12",
  Workers: "M4 4h12v9H4zM7 16.5h6M10 13v3.5",
  Events: "M11 2.5 5 11h4.5L9 17.5 15 9h-4.5z",
  Inspect: "M8.5 3a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11zM12.5 12.5 17 17",
  system: "M3 4h14v9H3zM7 17h6M10 13v4",
  dark: "M16 12.5A7 7 0 0 1 7.5 4 6.5 6.5 0 1 0 16 12.5z",
  light:
    "M10 6.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7zM10 2v1.5M10 16.5V18M2 10h1.5M16.5 10H18M4.3 4.3l1.1 1.1M14.6 14.6l1.1 1.1M4.3 15.7l1.1-1.1M14.6 5.4l1.1-1.1",
} as const;

export type IconName = keyof typeof PATHS;

export function isIconName(name: string): name is IconName {
  return Object.hasOwn(PATHS, name);
}

export function Icon({ name }: { readonly name: IconName }): JSX.Element {
  return (
    <svg class="shell-icon" viewBox="0 0 20 20" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
