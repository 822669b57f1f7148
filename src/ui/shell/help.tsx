/** What `?` shows: the keys that do something at the moment. */
import type { JSX } from "preact";
import { Dialog } from "../kit/dialog.tsx";
import { currentKeys } from "../kit/keys.tsx";

export function Help({ onClose }: { readonly onClose: () => void }): JSX.Element {
  // Keys that do the same stand together.
  const table = new Map<string, string[]>();
  for (const { keys, does } of currentKeys()) table.set(does, [...(table.get(does) ?? []), keys]);
  return (
    <Dialog title="Keys" onClose={onClose}>
      <dl class="shell-keys">
        {[...table].map(([does, alternatives]) => (
          <div key={does}>
            <dt>
              {alternatives.flatMap((keys) =>
                keys.split(" ").map((key) => (
                  <kbd class="kit-key" key={`${keys} ${key}`}>
                    {NAMES[key] ?? key}
                  </kbd>
                )),
              )}
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}

const NAMES: Readonly<Record<string, string>> = {
  Escape: "Esc",
  ArrowLeft: "←",
  ArrowRight: "→",
  ArrowUp: "↑",
  ArrowDown: "↓",
  PageDown: "PgDn",
  PageUp: "PgUp",
  " ": "Space",
};
