/** The buttons over a chart, and its menu. */
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

export interface MenuItem {
  readonly label: string;
  readonly run: () => void;
  readonly checked?: boolean;
}

export interface ToolbarProps {
  readonly isCards: boolean;
  readonly onView: (view: "chart" | "cards") => void;
  readonly onZoom: (factor: number) => void;
  readonly onFit: () => void;
  readonly canExpand: boolean;
  readonly canCollapse: boolean;
  readonly onExpandAll: () => void;
  readonly onCollapseAll: () => void;
  readonly menu: readonly MenuItem[];
}

const ICONS = {
  plus: "M8 3.5v9M3.5 8h9",
  minus: "M3.5 8h9",
  fit: "M2.5 6v-3.5h3.5M10 2.5h3.5v3.5M13.5 10v3.5h-3.5M6 13.5h-3.5v-3.5",
  expand: "M4 6l4 -4l4 4M4 10l4 4l4 -4",
  collapse: "M4 2.5l4 4l4 -4M4 13.5l4 -4l4 4",
  chart: "M2.5 2.5h5v4h-5zM8.5 9.5h5v4h-5zM5 6.5v5h3.5",
  cards: "M2.5 2.5h11v4.5h-11zM2.5 9h5v4.5h-5zM9.5 9h4v4.5h-4z",
  menu: "M3.5 8h.01M8 8h.01M12.5 8h.01",
} as const;

function Icon({ name }: { readonly name: keyof typeof ICONS }): JSX.Element {
  return (
    <svg class="chart-icon" data-icon={name} viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
      <path d={ICONS[name]} />
    </svg>
  );
}

interface ToolProps {
  readonly icon: keyof typeof ICONS;
  readonly label: string;
  readonly onClick: () => void;
  readonly pressed?: boolean;
  readonly disabled?: boolean;
  readonly children?: ComponentChildren;
}

function Tool({ icon, label, onClick, pressed, disabled }: ToolProps): JSX.Element {
  return (
    <button
      type="button"
      class="chart-tool"
      title={label}
      aria-label={label}
      aria-pressed={pressed}
      disabled={disabled}
      onClick={onClick}
    >
      <Icon name={icon} />
    </button>
  );
}

export function Toolbar(props: ToolbarProps): JSX.Element {
  const { isCards, onView, onZoom, onFit } = props;
  return (
    <div class="chart-toolbar" role="toolbar" aria-label="Chart">
      {!isCards && (
        <div class="chart-tools">
          <Tool icon="minus" label="Zoom out (-)" onClick={() => onZoom(1 / 1.25)} />
          <Tool icon="plus" label="Zoom in (+)" onClick={() => onZoom(1.25)} />
          <Tool icon="fit" label="Fit (f)" onClick={onFit} />
        </div>
      )}
      {(props.canExpand || props.canCollapse) && (
        <div class="chart-tools">
          <Tool icon="expand" label="Open all states" disabled={!props.canExpand} onClick={props.onExpandAll} />
          <Tool icon="collapse" label="Close all states" disabled={!props.canCollapse} onClick={props.onCollapseAll} />
        </div>
      )}
      <div class="chart-tools">
        <Tool icon="chart" label="Chart" pressed={!isCards} onClick={() => onView("chart")} />
        <Tool icon="cards" label="Cards" pressed={isCards} onClick={() => onView("cards")} />
        <Menu items={props.menu} />
      </div>
    </div>
  );
}

function Menu({ items }: { readonly items: readonly MenuItem[] }): JSX.Element {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);

  useEffect(() => {
    if (!open) return undefined;
    box.current?.querySelector<HTMLElement>("[role^=menuitem]")?.focus();
    const onDown = (event: Event): void => {
      if (!box.current?.contains(event.target as Node)) setOpen(false);
    };
    document.addEventListener("pointerdown", onDown);
    return () => document.removeEventListener("pointerdown", onDown);
  }, [open]);

  const close = (): void => {
    setOpen(false);
    button.current?.focus();
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (!open) return;
    const all = [...(box.current?.querySelectorAll<HTMLElement>("[role^=menuitem]") ?? [])];
    const at = all.indexOf(document.activeElement as HTMLElement);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape" || event.key === "Tab") close();
    else if (event.key === "Home") all[0]?.focus();
    else if (event.key === "End") all.at(-1)?.focus();
    else if (step !== undefined) all[(at + step + all.length) % all.length]?.focus();
    else return;
    if (event.key !== "Tab") event.preventDefault();
    event.stopPropagation();
  };

  return (
    <div ref={box} class="chart-menu" onKeyDown={onKeyDown}>
      <button
        ref={button}
        type="button"
        class="chart-tool"
        title="More"
        aria-label="More"
        aria-haspopup="menu"
        aria-expanded={open}
        onClick={() => setOpen(!open)}
      >
        <Icon name="menu" />
      </button>
      {open && (
        <div class="chart-menu-list" role="menu" aria-label="Chart">
          {items.map(({ label, run, checked }) => (
            <button
              key={label}
              type="button"
              class="chart-menu-item"
              role={checked === undefined ? "menuitem" : "menuitemcheckbox"}
              aria-checked={checked}
              tabIndex={-1}
              onClick={() => {
                close();
                run();
              }}
            >
              <span class="chart-menu-check">{checked === true ? "✓" : ""}</span>
              {label}
            </button>
          ))}
        </div>
      )}
    </div>
  );
}
