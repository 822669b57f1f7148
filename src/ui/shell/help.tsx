/** What `?` shows: the keys that do something at the moment. */
import type { JSX } from "preact";
import { Dialog } from "../kit/dialog.tsx";
import { currentKeys } from "../kit/keys.tsx";

export function Help({ onClose }: { readonly onClose: () => void }): JSX.Element {
  return (
    <Dialog title="Keys" onClose={onClose}>
      <dl class="shell-keys">
        {currentKeys().map(({ keys, does }) => (
          <div key={keys}>
            <dt>
              {keys.split(" ").map((key, index) => (
                <kbd class="kit-key" key={index}>
                  {NAMES[key] ?? key}
                </kbd>
              ))}
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
  " ": "Space",
};
