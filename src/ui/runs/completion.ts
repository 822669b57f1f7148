/** What the filter box offers while somebody types: fields, and their values as far as they are known. Pure. */
import { FIELDS, type FieldName, parseFilter, quoted, STATUSES } from "./filter.ts";

export interface Suggestion {
  /** What it reads. */
  readonly label: string;
  readonly detail: string;
  /** The text of the box, and where the caret is, once it was taken. */
  readonly text: string;
  readonly caret: number;
}

/** Values that exist, by field. */
export type KnownValues = Partial<Readonly<Record<FieldName, readonly string[]>>>;

const MOST = 8;
const TIMES: Readonly<Record<string, string>> = { "15m": "15 minutes", "1h": "1 hour", "24h": "a day", "7d": "a week" };

/** For the word at the caret. */
export function suggestionsFor(text: string, caret: number, known: KnownValues): readonly Suggestion[] {
  const token = parseFilter(text).tokens.find(({ from, to }) => from <= caret && caret <= to);
  if (token?.field === undefined) return fieldsFor(text, caret, token === undefined ? "" : text.slice(token.from, caret));
  const { field, from, to } = token;
  const start = from + field.length + 1;
  if (caret < start) return [];
  // Of several statuses, the one that is being typed.
  const typed = text.slice(start, caret).replaceAll('"', "");
  const comma = field === "status" ? typed.lastIndexOf(",") + 1 : 0;
  const kept = typed.slice(0, comma);
  const part = typed.slice(comma).toLowerCase();
  const chosen = field === "status" ? kept.split(",") : [];
  return valuesOf(field, known)
    .filter(({ value }) => value.toLowerCase().includes(part) && !chosen.includes(value))
    .sort((a, b) => Number(!a.value.toLowerCase().startsWith(part)) - Number(!b.value.toLowerCase().startsWith(part)))
    .slice(0, MOST)
    .filter(({ value }) => `${kept}${value}` !== text.slice(start, to))
    .map(({ value, detail }) => {
      const filled = `${text.slice(0, start)}${quoted(`${kept}${value}`)}`;
      const rest = text.slice(to).trimStart();
      return { label: value, detail, text: `${filled} ${rest}`, caret: filled.length + 1 };
    });
}

function fieldsFor(text: string, caret: number, typed: string): readonly Suggestion[] {
  const from = caret - typed.length;
  return (Object.keys(FIELDS) as FieldName[])
    .filter((name) => name.startsWith(typed.toLowerCase()))
    .map((name) => ({
      label: `${name}:`,
      detail: FIELDS[name].does,
      text: `${text.slice(0, from)}${name}:${text.slice(caret)}`,
      caret: from + name.length + 1,
    }));
}

function valuesOf(field: FieldName, known: KnownValues): readonly { readonly value: string; readonly detail: string }[] {
  if (field === "status") return STATUSES.map((status) => ({ value: status.toLowerCase(), detail: "" }));
  if (field === "since" || field === "until")
    return Object.entries(TIMES).map(([value, ago]) => ({ value, detail: `${ago} ago` }));
  return (known[field] ?? []).map((value) => ({ value, detail: "" }));
}
