/** One run in the list. Rendered anew only when something of it has changed. */
import { Component, type JSX, type TargetedMouseEvent } from "preact";
import { statusText } from "../kit/status-badge.tsx";
import { durationText, exactText, relativeText } from "../kit/time-text.ts";
import { shortId } from "../kit/links.tsx";
import { navigate, pathTo } from "../router.tsx";
import { isOver, type RunRow, waitOf } from "./run-row.ts";
import { hideWhy, reasonText, showWhy } from "./why-tip.tsx";

export interface RunTableRowProps {
  readonly index: number;
  readonly row: RunRow | undefined;
  readonly selected: boolean;
  /** The keys act on it. */
  readonly current: boolean;
  /** Of the clock, in ms. */
  readonly now: number;
  readonly onSelect: (index: number, range: boolean) => void;
}

/** More segments would be too thin to see. */
const MOST_STEPS = 16;

export class RunTableRow extends Component<RunTableRowProps> {
  override shouldComponentUpdate(next: RunTableRowProps): boolean {
    const { index, row, selected, current, now } = this.props;
    return next.row !== row || next.index !== index || next.selected !== selected || next.current !== current || next.now !== now;
  }

  override render({ index, row, selected, current, now, onSelect }: RunTableRowProps): JSX.Element {
    if (row === undefined) {
      return (
        <div class="runs-row" role="row" aria-rowindex={index + 2} data-missing>
          <span class="runs-skeleton" role="gridcell" aria-label="loading" />
        </div>
      );
    }
    const created = Date.parse(row.createdAt);
    const reason = reasonText(row);
    const tabIndex = current ? 0 : -1;
    return (
      <div
        class="runs-row"
        role="row"
        id={`run-${row.id}`}
        data-id={row.id}
        data-status={row.status}
        data-current={current || undefined}
        aria-rowindex={index + 2}
        aria-selected={selected}
        onClick={(event) => openRow(event, row.id)}
        onPointerEnter={(event) => event.pointerType === "mouse" && showWhy(row, event.currentTarget)}
        onPointerLeave={hideWhy}
      >
        <span role="gridcell" class="runs-cell-check" onClick={(event) => event.stopPropagation()}>
          <input
            type="checkbox"
            tabIndex={-1}
            aria-label={`Select run ${row.id}`}
            checked={selected}
            onClick={(event) => onSelect(index, event.shiftKey)}
          />
        </span>
        <span role="gridcell" class="runs-cell-status">
          <span class="kit-status" data-status={row.status}>
            <span class="kit-dot" aria-hidden="true" />
            <span>{statusText(row.status)}</span>
          </span>
          {reason !== undefined && <span class="runs-reason">{shortReason(row)}</span>}
        </span>
        <span role="gridcell" class="runs-cell-workflow">
          <a href={pathTo("workflows", row.workflow)} class="runs-plain" tabIndex={tabIndex}>
            {row.workflow}
          </a>
        </span>
        <span role="gridcell" class="runs-cell-keys">
          {row.keys.map(({ limit, key }) => (
            <a
              key={limit}
              href={pathTo("groups", limit, key)}
              class="runs-key"
              title={`${key} (limit ${limit})`}
              tabIndex={tabIndex}
            >
              {key}
            </a>
          ))}
        </span>
        <span role="gridcell" class="runs-cell-id">
          <a href={pathTo("runs", row.id)} class="kit-id runs-plain" title={row.id} tabIndex={tabIndex}>
            {shortId(row.id)}
          </a>
        </span>
        <span role="gridcell" class="runs-cell-steps">
          <Steps row={row} />
        </span>
        <span role="gridcell" class="runs-cell-waited">
          {waitText(row, now)}
        </span>
        <span role="gridcell" class="runs-cell-duration">
          {row.startedAt !== undefined && spanText(row.startedAt, row.finishedAt, now)}
        </span>
        <span role="gridcell" class="runs-cell-created" title={exactText(created)}>
          {relativeText(created, Math.max(now, created))}
        </span>
        <span role="gridcell" class="runs-cell-event">
          {row.event}
        </span>
      </div>
    );
  }
}

/** Until a time that its caller gave; else how long it waited, or waits. */
function waitText(row: RunRow, now: number): string {
  if (row.status === "QUEUED" && row.scheduledAt !== undefined && Date.parse(row.scheduledAt) > now)
    return relativeText(Date.parse(row.scheduledAt), now);
  const { from, to } = waitOf(row);
  return spanText(from, to, now);
}

/** As `Duration`, without a component for each: what goes on is told in whole seconds. */
function spanText(from: string, to: string | undefined, now: number): string {
  if (to !== undefined) return durationText(Date.parse(to) - Date.parse(from));
  const ms = Math.max(0, now - Date.parse(from));
  return ms < 60_000 ? `${Math.floor(ms / 1_000)} s` : durationText(ms);
}

/** Anywhere on the row, but not at the end of marking a text. A handler per row, not per link: rows have to be cheap. */
function openRow(event: TargetedMouseEvent<HTMLElement>, id: string): void {
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  const elsewhere = event.metaKey || event.ctrlKey || event.shiftKey || event.altKey;
  if (link !== null && elsewhere) return;
  if (link === null && getSelection()?.isCollapsed === false) return;
  event.preventDefault();
  const href = link?.href ?? pathTo("runs", id);
  if (elsewhere) open(href);
  else navigate(href);
}

function Steps({ row }: { readonly row: RunRow }): JSX.Element {
  const shown = row.steps.slice(0, MOST_STEPS);
  const title = row.steps
    .map(({ name, status, attempts }) => `${name}: ${statusText(status)}${attempts > 1 ? ` (attempt ${attempts})` : ""}`)
    .join("\n");
  const done = row.steps.filter(({ status }) => status === "SUCCEEDED").length;
  return (
    <span class="runs-steps" role="img" aria-label={`${done} of ${row.steps.length} steps succeeded`} title={title}>
      {shown.map(({ name, status }) => (
        <i key={name} data-status={status} />
      ))}
      {row.steps.length > shown.length && <small>+{row.steps.length - shown.length}</small>}
    </span>
  );
}

/** The reason in two or three words; the whole is in the tip. */
function shortReason(row: RunRow): string {
  if (row.reason === undefined || !isOver(row.status)) return "";
  return (
    SHORT[row.reason] ??
    row.reason
      .toLowerCase()
      .replaceAll("_", " ")
      .replace(/^cancelled by /, "by ")
  );
}

const SHORT: Readonly<Record<string, string>> = {
  CANCELLED_BY_CONCURRENCY_LIMIT: "by limit",
  CANCELLED_BY_USER: "by user",
  SCHEDULING_TIMED_OUT: "not scheduled in time",
};
