/** Saved views: filters with names, in a menu beside the filter box. */
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Button } from "../kit/button.tsx";
import { Link } from "../router.tsx";
import { MOST_VIEWS, removeView, savedViews, saveView } from "./saved-views.ts";

export function ViewsMenu({ filter }: { readonly filter: string }): JSX.Element {
  const [open, setOpen] = useState(false);
  const [name, setName] = useState("");
  const [full, setFull] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (!open) return undefined;
    const onPointer = (event: PointerEvent) => {
      if (event.target instanceof Node && box.current?.contains(event.target) === false) setOpen(false);
    };
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      setOpen(false);
      button.current?.focus();
    };
    document.addEventListener("pointerdown", onPointer);
    box.current?.addEventListener("keydown", onKey);
    const element = box.current;
    return () => {
      document.removeEventListener("pointerdown", onPointer);
      element?.removeEventListener("keydown", onKey);
    };
  }, [open]);
  useEffect(() => setOpen(false), [filter]);
  const views = savedViews.value;
  const shown = views.find((view) => view.filter === filter);
  return (
    <div class="runs-views" ref={box}>
      <button
        ref={button}
        type="button"
        class="kit-button"
        aria-expanded={open}
        aria-haspopup="true"
        onClick={() => {
          setOpen(!open);
          setFull(false);
        }}
      >
        {shown?.name ?? "Views"} <span aria-hidden="true">▾</span>
      </button>
      {open && (
        <div class="runs-views-menu">
          {views.length === 0 && <p class="kit-muted">A view is a filter with a name, kept in this browser.</p>}
          <ul>
            {views.map((view) => (
              <li key={view.name} data-current={view.filter === filter || undefined}>
                <Link href={view.filter === "" ? "/runs" : `/runs?q=${encodeURIComponent(view.filter)}`} title={view.filter}>
                  {view.name}
                </Link>
                <Button kind="quiet" aria-label={`Remove the view ${view.name}`} onClick={() => removeView(view.name)}>
                  ✕
                </Button>
              </li>
            ))}
          </ul>
          <form
            onSubmit={(event) => {
              event.preventDefault();
              const trimmed = name.trim();
              if (trimmed === "") return;
              const saved = saveView({ name: trimmed, filter });
              setFull(!saved);
              if (saved) setName("");
            }}
          >
            <input
              class="kit-input"
              aria-label="Name of the view"
              placeholder={filter === "" ? "Name for all runs" : "Name for this filter"}
              maxLength={60}
              value={name}
              onInput={(event) => setName(event.currentTarget.value)}
            />
            <button type="submit" class="kit-button" data-kind="primary" disabled={name.trim() === ""}>
              Save
            </button>
          </form>
          {full && <p class="runs-problem">There are {MOST_VIEWS} views already; remove one first.</p>}
        </div>
      )}
    </div>
  );
}
