/** The page of all runs: filter, counters, the live list, what is done to many of them. Its state is in the address. */
import type { JSX } from "preact";
import { useCallback, useEffect, useMemo, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import type { RunStatus } from "../../protocol/view.ts";
import { useKeys } from "../kit/keys.tsx";
import type { VirtualListHandle } from "../kit/virtual-list.tsx";
import { useLive } from "../live.ts";
import { navigate, pathTo, route, setQuery } from "../router.tsx";
import { readOnly } from "../shell/about.ts";
import { askBulk, BulkBar } from "./bulk-bar.tsx";
import { Counters } from "./counters.tsx";
import { parseFilter, withField } from "./filter.ts";
import { FilterBox } from "./filter-box.tsx";
import { NoRuns } from "./no-runs.tsx";
import { RunList } from "./run-list.ts";
import { RunTable } from "./run-table.tsx";
import { useAfterChanges } from "./after-changes.ts";
import { addAll, clearSelection, isAnySelected, toggle } from "./selection.ts";
import { StatusCounts } from "./status-counts.ts";
import { ViewsMenu } from "./views-menu.tsx";
import { hideWhy, showWhy, WhyTip } from "./why-tip.tsx";
import "./runs.css";

/** The last list: back from a run, it is as it was. */
let kept: { readonly filter: string; readonly list: RunList } | undefined;

export function RunsPage(): JSX.Element {
  const filter = route.value.query.get("q") ?? "";
  const counts = useStatusCounts(withField(filter, "status", undefined));
  const status = useMemo(() => [parseFilter(filter).query.status ?? []].flat(), [filter]);
  // While somebody types, the address follows; all of it is one step for "back".
  const typing = useRef(false);
  const onFilter = (text: string, done: boolean) => {
    setQuery({ q: text.trim() }, { replace: typing.current });
    typing.current = !done;
  };
  const onPick = (picked: RunStatus | undefined) => setQuery({ q: withField(filter, "status", picked?.toLowerCase()) });
  return (
    <div class="runs">
      <h1 class="sr-only">Runs</h1>
      <div class="runs-tools">
        <FilterBox value={filter} onChange={onFilter} />
        <ViewsMenu filter={filter} />
      </div>
      <Counters counts={counts} active={status} onPick={onPick} />
      <Runs
        // A list of its own for each filter.
        key={filter}
        filter={filter}
      />
    </div>
  );
}

/** Of one filter after the other; the old numbers stay until the new ones are there. */
function useStatusCounts(base: string): StatusCounts {
  const last = useRef<StatusCounts | undefined>(undefined);
  const counts = useMemo(() => {
    const made = new StatusCounts(() => parseFilter(base).query, last.current?.counts.peek());
    last.current = made;
    return made;
  }, [base]);
  useEffect(() => {
    counts.refresh();
    return () => counts.stop();
  }, [counts]);
  useAfterChanges(() => counts.refresh());
  useLive("runs", (...[event]) => {
    if (event === "runs" || event === "reset") counts.refresh();
  });
  return counts;
}

function Runs({ filter }: { readonly filter: string }): JSX.Element {
  const query = useCallback(() => parseFilter(filter).query, [filter]);
  const top = useMemo(() => (history.state as { readonly top?: number } | null)?.top ?? 0, []);
  const list = useMemo(() => (top > 0 && kept?.filter === filter ? kept.list : new RunList(query)), []);
  const current = useSignal<{ readonly index: number; readonly id: string } | undefined>(undefined);
  const table = useRef<VirtualListHandle>(null);
  const anchor = useRef<number | undefined>(undefined);

  useEffect(() => {
    if (kept?.list === list) list.reset();
    else {
      kept = { filter, list };
      void list.reload();
    }
    return () => {
      list.stop();
      clearSelection();
      hideWhy();
    };
  }, []);
  useAfterChanges(() => list.recheck());
  useLive("runs", (event, data) => {
    if (event === "runs") list.take(data);
    if (event === "reset") list.reset();
  });

  void list.version.value;
  const index = indexOf(list, current.value);
  const row = index === -1 ? undefined : list.row(index);

  const move = (to: number) => {
    hideWhy();
    const next = Math.max(0, Math.min(list.count.value - 1, to));
    const found = list.row(next);
    if (found === undefined) return;
    current.value = { index: next, id: found.id };
    table.current?.scrollTo(next);
  };
  const page = () => Math.max(1, Math.floor((table.current?.element?.clientHeight ?? 0) / 28) - 1);
  const select = (at: number, range: boolean) => {
    const first = range ? (anchor.current ?? at) : at;
    const found = list.row(at);
    if (found === undefined) return;
    if (first === at) toggle(found.id);
    else {
      const ids: string[] = [];
      for (let place = Math.min(first, at); place <= Math.max(first, at); place++) {
        const id = list.row(place)?.id;
        if (id !== undefined) ids.push(id);
      }
      addAll(ids);
    }
    anchor.current = at;
    current.value = { index: at, id: found.id };
  };
  const act = (kind: "cancel" | "replay") => {
    hideWhy();
    if (isAnySelected.value) void askBulk(kind, list, query());
    else if (row !== undefined) void askBulk(kind, list, query(), [row.id]);
  };
  const why = () => {
    const element = row === undefined ? null : document.getElementById(`run-${row.id}`);
    if (row !== undefined && element !== null) showWhy(row, element, 0);
  };
  useKeys({
    j: { does: "next run", run: () => move(index + 1) },
    k: { does: "previous run", run: () => move(index === -1 ? 0 : index - 1) },
    ArrowDown: { does: "next run", run: () => move(index + 1) },
    ArrowUp: { does: "previous run", run: () => move(index === -1 ? 0 : index - 1) },
    PageDown: { does: "a page down", run: () => move(index + page()) },
    PageUp: { does: "a page up", run: () => move(index - page()) },
    Home: { does: "to the newest", run: () => move(0) },
    Enter: { does: "open the run", run: () => row !== undefined && navigate(pathTo("runs", row.id)) },
    x: { does: "select the run", run: () => index !== -1 && select(index, false) },
    X: { does: "select from the last one to here", run: () => index !== -1 && select(index, true) },
    w: { does: "why is it so", run: why },
    ...(!readOnly.value && {
      c: { does: "cancel what is selected", run: () => act("cancel") },
      r: { does: "replay what is selected", run: () => act("replay") },
    }),
    Escape: {
      does: "clear the selection",
      run: () => {
        hideWhy();
        clearSelection();
        current.value = undefined;
      },
    },
  });

  const toTop = () => {
    if (table.current?.element) table.current.element.scrollTop = 0;
    void list.reload();
  };
  const empty = list.count.value === 0 && (list.loaded.value || list.error.value !== undefined);
  return (
    <>
      {empty ? (
        <NoRuns
          filter={filter}
          error={list.error.value}
          onClear={() => setQuery({ q: undefined })}
          onRetry={() => void list.reload()}
        />
      ) : (
        <RunTable
          list={list}
          current={index}
          initialTop={top}
          handle={table}
          onSelect={select}
          onScrolled={rememberTop}
          onTop={toTop}
        />
      )}
      <BulkBar list={list} query={query} />
      <WhyTip />
    </>
  );
}

/** With the address, so that "back" finds it. */
function rememberTop(top: number): void {
  history.replaceState({ ...(history.state as object | null), top }, "");
}

/** Where the run is by now; where it was, while it is out of memory. */
function indexOf(list: RunList, current: { readonly index: number; readonly id: string } | undefined): number {
  if (current === undefined) return -1;
  const found = list.indexOf(current.id);
  return found === -1 ? Math.min(current.index, list.count.value - 1) : found;
}
