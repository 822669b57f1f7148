/** What `sluice top` shows: the health of the whole and the most pressed groups, as lines for a terminal's size. */
import type { HealthVerdict, HealthView } from "../protocol/record.ts";
import type { GroupView } from "../protocol/view.ts";
import { rough } from "./format.ts";
import { formatCount } from "./progress.ts";
import { renderTable, type CellValue, type Column } from "./table.ts";
import { cut, oneLine, type Painter, type Style } from "./terminal.ts";

export interface Top {
  readonly health: HealthView;
  readonly groups: readonly GroupView[];
  readonly total: number;
}

export interface TopScreen {
  /** Undefined until the first answer has come. */
  readonly top: Top | undefined;
  /** Index of the chosen group. */
  readonly selected: number;
  /** Why this is not up to date. */
  readonly problem: string | undefined;
  /** What the last key did. */
  readonly message: string | undefined;
  readonly now: number;
}

const VERDICTS: Readonly<Record<HealthVerdict, Style>> = {
  flowing: "green",
  idle: "dim",
  "held back": "yellow",
  "no worker": "red",
  behind: "yellow",
  starting: "cyan",
  stuck: "red",
  disconnected: "red",
};

const COLUMNS: readonly Column[] = [
  { title: "LIMIT" },
  { title: "KEY" },
  { title: "SLOTS" },
  { title: "WAITING", align: "right" },
  { title: "OLDEST WAIT", align: "right" },
  { title: "STARTS/MIN", align: "right" },
  { title: "DRAIN", align: "right" },
  { title: "STATE" },
];

/** Marks for slots; more than these are shown in proportion. */
const MAX_MARKS = 10;

/** `●●○`: taken, being given back (`◐`), free. Of many, a share, and the numbers. */
export function slotMarks({ active, stopping, maxRuns }: Pick<GroupView, "active" | "stopping" | "maxRuns">): string {
  // A limit that was lowered leaves more active than there are slots.
  const slots = Math.max(maxRuns, active);
  const marks = Math.min(slots, MAX_MARKS);
  const share = (count: number): number => (count === 0 ? 0 : Math.max(1, Math.round((count * marks) / slots)));
  const taken = Math.min(marks, share(active));
  const leaving = Math.min(taken, share(stopping));
  const picture = "●".repeat(taken - leaving) + "◐".repeat(leaving) + "○".repeat(marks - taken);
  return slots > MAX_MARKS || active > maxRuns ? `${picture} ${formatCount(active)}/${formatCount(maxRuns)}` : picture;
}

/** One snapshot, for a pipe: everything, without keys. */
export function renderTop({ health, groups, total }: Top, now: number, paint: Painter): readonly string[] {
  return [...healthLines(health, paint), "", ...groupLines(groups, total, undefined, now, paint)];
}

export function renderTopScreen(
  { top, selected, problem, message, now }: TopScreen,
  { rows }: { readonly columns: number; readonly rows: number },
  paint: Painter,
): readonly string[] {
  const foot = message ?? paint("dim", "↑ ↓ choose   p pause or resume   q end");
  if (top === undefined) return [problem === undefined ? paint("dim", "asking …") : paint("red", problem), "", foot];
  const head = [...healthLines(top.health, paint), ...(problem === undefined ? [] : [paint("red", problem)]), ""];
  // The titles, an empty line and the foot.
  const room = Math.max(1, rows - head.length - 3);
  const first = Math.max(0, Math.min(selected - Math.floor(room / 2), top.groups.length - room));
  const shown = top.groups.slice(first, first + room);
  const body = groupLines(shown, top.total, selected - first, now, paint).slice(0, room + 1);
  const space = Array.from({ length: Math.max(0, rows - head.length - body.length - 1) }, () => "");
  return [...head, ...body, ...space, foot];
}

function healthLines(health: HealthView, paint: Painter): readonly string[] {
  const { live, waiting, startsPerMinute, finishesPerMinute, slots } = health;
  return [
    `${paint(VERDICTS[health.verdict], "●")} ${oneLine(health.sentence)}`,
    paint(
      "dim",
      [
        `${formatCount(live)} live`,
        `${formatCount(waiting)} waiting`,
        `${formatCount(Math.round(startsPerMinute))} starts/min`,
        `${formatCount(Math.round(finishesPerMinute))} ends/min`,
        `${formatCount(slots.used)}/${formatCount(slots.total)} worker slots`,
      ].join("   "),
    ),
  ];
}

function groupLines(
  groups: readonly GroupView[],
  total: number,
  selected: number | undefined,
  now: number,
  paint: Painter,
): readonly string[] {
  if (groups.length === 0) return [paint("dim", "no groups: no key has active or waiting runs")];
  const [titles = "", ...rows] = renderTable(
    COLUMNS,
    groups.map((group) => groupCells(group, now)),
    paint,
  );
  const more = total - groups.length;
  const mark = (index: number): string => (index === selected ? `${paint("cyan", "›")} ` : "  ");
  return [
    selected === undefined ? titles : `  ${titles}`,
    ...(selected === undefined ? rows : rows.map((row, index) => `${mark(index)}${row}`)),
    ...(selected === undefined && more > 0 ? [paint("dim", `and ${formatCount(more)} more`)] : []),
  ];
}

function groupCells(group: GroupView, now: number): readonly CellValue[] {
  const { limit, key, waiting, oldestWaitingAt, startsPerMinute, drainSeconds, paused, overridden, stopping } = group;
  const waits = oldestWaitingAt === undefined ? undefined : Math.max(0, now - Date.parse(oldestWaitingAt));
  const full = group.active >= group.maxRuns;
  return [
    limit,
    cut(key, 40),
    { text: slotMarks(group), style: full ? "yellow" : "green" },
    waiting === 0 ? "" : formatCount(waiting),
    waits === undefined ? "" : rough(waits),
    startsPerMinute === 0 ? "" : rate(startsPerMinute),
    drainSeconds === undefined ? "" : `~${rough(Math.max(1, Math.round(drainSeconds)) * 1_000)}`,
    paused
      ? { text: "paused", style: "yellow" }
      : [stopping > 0 ? `${stopping} stopping` : "", overridden === true ? `limit ${group.maxRuns} of its own` : ""]
          .filter((part) => part !== "")
          .join(", "),
  ];
}

function rate(perMinute: number): string {
  return perMinute < 10 ? String(Number(perMinute.toFixed(1))) : formatCount(Math.round(perMinute));
}
