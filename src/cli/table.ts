/** Aligned tables and key/value views, as text. They know columns and cells, not what is shown. */
import { createPainter, oneLine, widthOf, type OutputStream, type Painter, type Style } from "./terminal.ts";
import type { Environment } from "./environment.ts";

export interface Cell {
  readonly text: string;
  readonly style?: Style | undefined;
}
export type CellValue = Cell | string | number | undefined;

export interface Column {
  readonly title: string;
  /** Default left. */
  readonly align?: "left" | "right";
}

const GAP = "  ";

/** Lines of a table with its titles first. Columns that are empty in every row are left out. */
export function renderTable(columns: readonly Column[], rows: readonly (readonly CellValue[])[], paint: Painter): string[] {
  const cells = rows.map((row) => columns.map((_, index) => toCell(row[index])));
  const shown = columns
    .map((column, index) => ({
      column,
      index,
      width: Math.max(widthOf(column.title), ...cells.map((row) => widthOf(row[index]?.text ?? ""))),
    }))
    .filter(({ index }) => cells.some((row) => (row[index]?.text ?? "") !== ""));
  const line = (at: (index: number) => Cell): string =>
    shown
      .map(({ column, index, width }, position) => {
        const { text, style } = at(index);
        const painted = style === undefined ? text : paint(style, text);
        const space = " ".repeat(Math.max(0, width - widthOf(text)));
        if (column.align === "right") return space + painted;
        return position === shown.length - 1 ? painted : painted + space;
      })
      .join(GAP)
      .trimEnd();
  const titles = line((index) => ({ text: columns[index]?.title ?? "", style: "dim" }));
  return [titles, ...cells.map((row) => line((index) => row[index] ?? { text: "" }))];
}

/** One line per entry, the names aligned; entries without a value are left out. */
export function renderDetails(entries: readonly (readonly [name: string, value: CellValue])[], paint: Painter): string[] {
  const shown = entries.map(([name, value]) => ({ name, cell: toCell(value) })).filter(({ cell }) => cell.text !== "");
  const width = Math.max(0, ...shown.map(({ name }) => widthOf(name)));
  return shown.map(({ name, cell }) => {
    const painted = cell.style === undefined ? cell.text : paint(cell.style, cell.text);
    return `${paint("dim", name)}${" ".repeat(width - widthOf(name))}${GAP}${painted}`;
  });
}

/** The painter and the writer of a stream, together. */
export function writerOf(
  stream: OutputStream,
  env: Environment,
): { readonly paint: Painter; lines(lines: readonly string[]): void } {
  return {
    paint: createPainter(stream, env),
    lines: (lines) => {
      if (lines.length > 0) stream.write(`${lines.join("\n")}\n`);
    },
  };
}

function toCell(value: CellValue): Cell {
  if (value === undefined) return { text: "" };
  if (typeof value === "object") return { ...value, text: oneLine(value.text) };
  return { text: oneLine(String(value)) };
}
