/** The list of runs: its header, its rows, and the note of what is new above. */
import type { JSX, Ref } from "preact";
import { useCallback, useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { now } from "../kit/clock.ts";
import { VirtualList, type VirtualListHandle } from "../kit/virtual-list.tsx";
import type { RunList } from "./run-list.ts";
import { RunTableRow } from "./run-table-row.tsx";
import { isSelected, selection } from "./selection.ts";
import { hideWhy } from "./why-tip.tsx";

export interface RunTableProps {
  readonly list: RunList;
  /** Index of the row on which the keys act; -1 for none. */
  readonly current: number;
  readonly initialTop: number;
  readonly handle: Ref<VirtualListHandle>;
  readonly onSelect: (index: number, range: boolean) => void;
  readonly onScrolled: (top: number) => void;
  readonly onTop: () => void;
}

const COLUMNS = ["Status", "Workflow", "Key", "Run", "Steps", "Waited", "Duration", "Created", "Event"] as const;
/** More than are ever in view. */
const PLACES = 256;
const SETTLED_MS = 120;

export function RunTable({ list, current, initialTop, handle, onSelect, onScrolled, onTop }: RunTableProps): JSX.Element {
  // What the rows are made of: read here, so that a change renders them anew.
  void list.version.value;
  void selection.value;
  const count = list.count.value;
  const fresh = list.fresh.value;
  const time = now.value;
  const box = useRef<HTMLDivElement>(null);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  useLayoutEffect(() => {
    // The header stands above the list, beside whose scroll bar its columns must end.
    const scroller = box.current?.querySelector<HTMLElement>(".runs-scroller");
    if (scroller) box.current?.style.setProperty("--scrollbar", `${scroller.offsetWidth - scroller.clientWidth}px`);
  }, []);
  const onView = useCallback(
    (first: number, last: number, atTop: boolean) => {
      hideWhy();
      list.see(first, last, atTop);
      clearTimeout(timer.current);
      timer.current = setTimeout(() => onScrolled(box.current?.querySelector(".runs-scroller")?.scrollTop ?? 0), SETTLED_MS);
    },
    [list, onScrolled],
  );
  const currentRow = current === -1 ? undefined : list.row(current);
  return (
    <div
      ref={box}
      class="runs-table"
      role="grid"
      aria-label="Runs"
      aria-rowcount={count + 1}
      aria-multiselectable
      aria-activedescendant={currentRow === undefined ? undefined : `run-${currentRow.id}`}
      tabIndex={0}
    >
      <div role="rowgroup">
        <div class="runs-row runs-head" role="row" aria-rowindex={1}>
          <span role="columnheader" class="runs-cell-check">
            <span class="sr-only">Selected</span>
          </span>
          {COLUMNS.map((name) => (
            <span
              key={name}
              role="columnheader"
              class={`runs-cell-${name === "Key" ? "keys" : name === "Run" ? "id" : name.toLowerCase()}`}
            >
              {name}
            </span>
          ))}
        </div>
      </div>
      {fresh.count > 0 && (
        <button type="button" class="runs-fresh" onClick={onTop}>
          ↑ {fresh.count.toLocaleString("en")}
          {fresh.more ? "+" : ""} new
        </button>
      )}
      <VirtualList
        class="runs-scroller"
        role="rowgroup"
        tabIndex={-1}
        count={count}
        handle={handle}
        initialTop={initialTop}
        onView={onView}
        render={(index) => {
          const row = list.row(index);
          return (
            <RunTableRow
              // A place on the screen, not a run: what scrolls out at one end is used again at the other.
              key={index % PLACES}
              index={index}
              row={row}
              selected={row !== undefined && isSelected(row.id)}
              current={index === current}
              now={time}
              onSelect={onSelect}
            />
          );
        }}
      />
    </div>
  );
}
