/**
 * The keys of the page. A component names its keys while it is there; of two that name the same one, the later wins. Nothing
 * is taken from fields in which people type, but Esc, which leaves them.
 */
import { signal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";

export interface KeyBinding {
  /** For the list that `?` shows: "open the run". */
  readonly does: string;
  readonly run: (event: KeyboardEvent) => void;
}

/** By key as in KeyboardEvent.key (`j`, `Enter`, `ArrowLeft`, `?`), or two keys in a row (`g r`). */
export type KeyTable = Readonly<Record<string, KeyBinding>>;

interface Layer {
  table: KeyTable;
}

const layers: Layer[] = [];
const changed = signal(0);
/** How long the second key of two may take. */
const CHORD_MS = 1_200;

/** The handlers may be new functions at each render. `below`: keys that give way to everybody else's, those of the shell. */
export function useKeys(table: KeyTable, { below = false } = {}): void {
  const layer = useRef<Layer>({ table });
  layer.current.table = table;
  // With the drawing, not some frames after it: a key that is pressed as soon as there is something to see is not lost.
  useLayoutEffect(() => {
    const own = layer.current;
    // Not by order alone: the effects of the page, which is inside of the shell, come first.
    if (below) layers.unshift(own);
    else layers.push(own);
    changed.value++;
    return () => {
      layers.splice(layers.indexOf(own), 1);
      changed.value++;
    };
  }, []);
}

/** What the keys do at the moment, the newest layer first. */
export function currentKeys(): { readonly keys: string; readonly does: string }[] {
  void changed.value;
  const seen = new Set<string>();
  return layers
    .toReversed()
    .flatMap(({ table }) => Object.entries(table))
    .filter(([keys]) => !seen.has(keys) && seen.add(keys))
    .map(([keys, { does }]) => ({ keys, does }));
}

/** Once per page, in the shell. */
export function startKeys(): () => void {
  let first: { readonly key: string; readonly at: number } | undefined;
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (isTyping(event.target)) {
      if (event.key === "Escape") (event.target as HTMLElement).blur();
      return;
    }
    if (document.querySelector("dialog[open]") !== null || isOperating(event)) return;
    const chord = first !== undefined && performance.now() - first.at < CHORD_MS ? `${first.key} ${event.key}` : undefined;
    first = undefined;
    const binding = (chord === undefined ? undefined : find(chord)) ?? find(event.key);
    if (binding !== undefined) {
      event.preventDefault();
      binding.run(event);
    } else if (layers.some(({ table }) => Object.keys(table).some((keys) => keys.startsWith(`${event.key} `)))) {
      first = { key: event.key, at: performance.now() };
    }
  };
  document.addEventListener("keydown", onKeyDown);
  return () => document.removeEventListener("keydown", onKeyDown);
}

function find(keys: string): KeyBinding | undefined {
  return layers.findLast(({ table }) => Object.hasOwn(table, keys))?.table[keys];
}

function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement) return !["checkbox", "radio", "range", "button", "submit"].includes(target.type);
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement || target.isContentEditable;
}

/** Enter and space on a button or a link are for that. */
function isOperating(event: KeyboardEvent): boolean {
  if (event.key !== "Enter" && event.key !== " ") return false;
  return event.target instanceof HTMLElement && event.target.closest("button, a, summary, [role=tab], [role=option]") !== null;
}
