/** Which theme is shown: the system's, or the one that was chosen here. */
import { signal } from "@preact/signals";

export type Theme = "system" | "dark" | "light";
const KEY = "sluice.theme";

export const theme = signal<Theme>(stored());

export function setTheme(next: Theme): void {
  theme.value = next;
  try {
    if (next === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, next);
  } catch {
    // Storage may be off; then it lasts as long as the page.
  }
  applyTheme();
}

export function applyTheme(): void {
  if (theme.value === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme.value;
}

function stored(): Theme {
  try {
    const value = localStorage.getItem(KEY);
    return value === "dark" || value === "light" ? value : "system";
  } catch {
    return "system";
  }
}
