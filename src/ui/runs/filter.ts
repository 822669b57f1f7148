/**
 * The language of the filter box: `status:failed workflow:answer some text`. Turns it into what the list is asked for, and says
 * what in it cannot be understood. Pure; knows nothing of the page.
 */
import type { RunListQuery, RunStatus } from "../../protocol/view.ts";

export const STATUSES: readonly RunStatus[] = ["QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"];

/** What stands before the colon, with an example and what it is for. */
export const FIELDS = {
  status: { example: "status:failed", does: "queued, running, succeeded, failed, cancelled; several with commas" },
  workflow: { example: "workflow:answer", does: "runs of a workflow" },
  key: { example: "key:tenant-7", does: "with this concurrency key" },
  group: { example: "group:answer/tenant-7", does: "a limit, or limit/key" },
  event: { example: "event:message.sent", does: "started by an event" },
  tag: { example: "tag:team=blue", does: "metadata: name=value, or name alone" },
  state: { example: "state:run.running", does: "live runs in a state of the machine; needs workflow:" },
  since: { example: "since:1h", does: "created after: 30s, 15m, 2h, 7d, or a time" },
  until: { example: "until:2026-01-31", does: "created before" },
} as const;
export type FieldName = keyof typeof FIELDS;

export interface Token {
  /** In the text: where it begins, where it ends. */
  readonly from: number;
  readonly to: number;
  readonly field: FieldName | undefined;
  /** Without quotes. */
  readonly value: string;
}

export interface Filter {
  readonly query: RunListQuery;
  readonly tokens: readonly Token[];
  /** What cannot be understood, as sentences; the rest of the filter applies. */
  readonly problems: readonly string[];
}

/** `now` is what `since:1h` counts from. */
export function parseFilter(text: string, now: number = Date.now()): Filter {
  const tokens: Token[] = [];
  const problems: string[] = [];
  const statuses: RunStatus[] = [];
  const tags: string[] = [];
  const words: string[] = [];
  const query: { -readonly [K in keyof RunListQuery]: RunListQuery[K] } = {};
  const parts = partsOf(text);
  for (const [index, part] of parts.entries()) {
    const named = /^(-|!)?([a-z]+):(?!\/\/)(.*)$/is.exec(part.raw);
    const name = named?.[2]?.toLowerCase();
    if (named === null || name === undefined) {
      const value = unquoted(part.raw);
      tokens.push({ from: part.from, to: part.to, field: undefined, value });
      if (value !== "") words.push(value);
      continue;
    }
    if (!isField(name)) {
      problems.push(`There is no filter "${name}:"${suggestion(name)}. To search for the text, put it in quotes.`);
      continue;
    }
    const value = unquoted(named[3] ?? "");
    tokens.push({ from: part.from, to: part.to, field: name, value });
    if (named[1] !== undefined) {
      problems.push(`"${part.raw}": filters can only ask for something, not exclude it.`);
      continue;
    }
    if (value === "") {
      // At the end of the text it is still being typed.
      const next = parts[index + 1];
      if (next !== undefined && !part.raw.includes('"'))
        problems.push(`"${part.raw}" has no value; without a space it would be ${part.raw}${next.raw}`);
      continue;
    }
    const problem = apply(name, value);
    if (problem !== undefined) problems.push(problem);
  }
  if (statuses.length > 0) query.status = statuses.length === 1 ? (statuses[0] as RunStatus) : statuses;
  if (tags.length > 0) query.tag = tags;
  if (words.length > 0) query.text = words.join(" ");
  if (query.state !== undefined && query.workflow === undefined) {
    delete query.state;
    problems.push('"state:" needs "workflow:" beside it: states belong to the machine of a workflow.');
  }
  return { query, tokens, problems };

  function apply(field: FieldName, value: string): string | undefined {
    switch (field) {
      case "status":
        for (const word of value.split(",").filter((word) => word !== "")) {
          const status = STATUSES.find((status) => status.startsWith(word.toUpperCase()));
          if (status === undefined) return `There is no status "${word}": ${STATUSES.join(", ").toLowerCase()}.`;
          if (!statuses.includes(status)) statuses.push(status);
        }
        return undefined;
      case "group": {
        const slash = value.indexOf("/");
        if (slash === -1) return once("limit", value, "group:");
        return once("limit", value.slice(0, slash), "group:") ?? once("key", value.slice(slash + 1), "key:");
      }
      case "tag":
        tags.push(value);
        return undefined;
      case "since":
      case "until": {
        const at = timeOf(value, now);
        if (at === undefined) return `"${field}:${value}" is no time: write 30s, 15m, 2h, 7d or 2026-01-31T12:00.`;
        return once(field, at, `${field}:`);
      }
      case "workflow":
      case "key":
      case "event":
      case "state":
        return once(field, value, `${field}:`);
    }
  }

  function once(field: "limit" | "key" | "workflow" | "event" | "state" | "since" | "until", value: string, name: string) {
    if (query[field] !== undefined && query[field] !== value) return `"${name}" can be given once.`;
    query[field] = value;
    return undefined;
  }
}

/** The filter with a field set to a value (or, with undefined, without it); everything else stays as it was typed. */
export function withField(text: string, field: FieldName, value: string | undefined): string {
  let rest = text;
  for (const token of parseFilter(text).tokens.toReversed()) {
    if (token.field === field) rest = `${rest.slice(0, token.from)}${rest.slice(token.to)}`;
  }
  const kept = rest.replaceAll(/\s+/g, " ").trim();
  return value === undefined ? kept : `${kept} ${field}:${quoted(value)}`.trim();
}

export function quoted(value: string): string {
  return /[\s"]/.test(value) ? `"${value.replaceAll('"', '\\"')}"` : value;
}

function unquoted(raw: string): string {
  return raw.replaceAll(/"((?:[^"\\]|\\.)*)"?/gs, (_, inner: string) => inner.replaceAll(/\\(["\\])/g, "$1"));
}

/** Cut at spaces outside of quotes; a quote that is still open reaches to the end. */
function partsOf(text: string): { readonly raw: string; readonly from: number; readonly to: number }[] {
  return [...text.matchAll(/(?:"(?:[^"\\]|\\.)*"?|[^\s"])+/gs)].map((match) => ({
    raw: match[0],
    from: match.index,
    to: match.index + match[0].length,
  }));
}

const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

function timeOf(value: string, now: number): string | undefined {
  const ago = /^(\d+(?:\.\d+)?)(s|m|min|h|d|w)$/i.exec(value);
  if (ago !== null)
    return new Date(now - Number(ago[1]) * (UNITS[(ago[2] ?? "s")[0]?.toLowerCase() ?? "s"] ?? 1_000)).toISOString();
  if (!/^\d{4}-\d{2}-\d{2}/.test(value)) return undefined;
  // A date alone means the reader's day, not one in UTC.
  const at = Date.parse(value.length === 10 ? `${value}T00:00` : value);
  return Number.isNaN(at) ? undefined : new Date(at).toISOString();
}

function isField(name: string): name is FieldName {
  return Object.hasOwn(FIELDS, name);
}

const OTHER_NAMES: Readonly<Record<string, FieldName>> = {
  is: "status",
  state: "status",
  flow: "workflow",
  wf: "workflow",
  limit: "group",
  metadata: "tag",
  meta: "tag",
  label: "tag",
  after: "since",
  before: "until",
};

function suggestion(name: string): string {
  const like =
    OTHER_NAMES[name] ??
    (Object.keys(FIELDS) as FieldName[]).find((field) => field.startsWith(name.slice(0, 2)) || distanceOne(field, name));
  return like === undefined ? "" : `; perhaps "${like}:"`;
}

/** One letter too many, too few, or another one. */
function distanceOne(a: string, b: string): boolean {
  const [long, short] = a.length >= b.length ? [a, b] : [b, a];
  if (long.length - short.length > 1) return false;
  const at = [...short].findIndex((letter, index) => letter !== long[index]);
  if (at === -1) return true;
  return long.slice(at + 1) === short.slice(long.length === short.length ? at + 1 : at);
}
