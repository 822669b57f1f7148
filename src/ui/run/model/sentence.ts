/**
 * The one sentence on top of a run, in parts, so that runs, groups, workers and workflows in it are links, and times count. It
 * takes the engine's sentence as it is and finds in it what is known by name; it never guesses. Pure.
 */
import type { Explanation, RunView } from "../../../protocol/view.ts";

export type Part =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "run"; readonly id: string }
  | { readonly kind: "group"; readonly limit: string; readonly key: string; readonly text: string }
  | { readonly kind: "worker"; readonly id: string }
  | { readonly kind: "workflow"; readonly name: string }
  | { readonly kind: "step"; readonly name: string }
  /** Counts down to `at`, or up from it. */
  | { readonly kind: "until" | "since"; readonly at: string; readonly text: string }
  /** What others wrote: an error's message. */
  | { readonly kind: "quote"; readonly text: string };

interface Needle {
  readonly text: string;
  readonly part: Part;
  /** Only as a whole word: ids. */
  readonly word: boolean;
}

export function sentenceParts(explanation: Explanation, run: RunView, workers: readonly string[] = []): Part[] {
  const needles: Needle[] = [];
  const add = (text: string, part: Part, word = false): void => {
    if (text !== "") needles.push({ text, part, word });
  };
  for (const id of explanation.holders ?? []) add(id, { kind: "run", id }, true);
  const keys = [...run.keys];
  if (explanation.limit !== undefined && explanation.key !== undefined)
    keys.push({ limit: explanation.limit, key: explanation.key });
  for (const { limit, key } of keys) {
    const text = `limit "${limit}" for key "${key}"`;
    add(text, { kind: "group", limit, key, text: key });
  }
  const atWorkers = new Set([...workers, ...Object.values(run.steps).flatMap(({ worker }) => worker ?? [])]);
  for (const id of atWorkers) add(id, { kind: "worker", id }, true);
  add(`workflow "${run.workflow}"`, { kind: "workflow", name: run.workflow });
  for (const name of Object.keys(run.steps)) add(`step "${name}"`, { kind: "step", name });
  for (const name of Object.keys(run.steps)) add(`Step "${name}"`, { kind: "step", name });
  for (const { message } of Object.values(run.steps).flatMap(({ error }) => error ?? []))
    add(`(${message})`, { kind: "quote", text: message });
  return counted(split(explanation.sentence, needles), explanation, run);
}

function split(sentence: string, needles: readonly Needle[]): Part[] {
  const parts: Part[] = [];
  let text = "";
  let at = 0;
  while (at < sentence.length) {
    let best: Needle | undefined;
    for (const needle of needles)
      if (
        sentence.startsWith(needle.text, at) &&
        (!needle.word || isWord(sentence, at, needle.text)) &&
        needle.text.length > (best?.text.length ?? 0)
      )
        best = needle;
    if (best === undefined) {
      text += sentence[at] ?? "";
      at++;
      continue;
    }
    if (text !== "") parts.push({ kind: "text", text });
    text = "";
    if (best.part.kind === "quote") parts.push({ kind: "text", text: "(" }, best.part, { kind: "text", text: ")" });
    else parts.push(best.part);
    at += best.text.length;
  }
  if (text !== "") parts.push({ kind: "text", text });
  return parts;
}

function isWord(sentence: string, at: number, text: string): boolean {
  return !/[\w-]/.test(sentence[at - 1] ?? " ") && !/[\w-]/.test(sentence[at + text.length] ?? " ");
}

/** `tried again at 2026-…Z, in 3s` counts down; `on worker w for 12s` counts up. */
function counted(parts: readonly Part[], { until }: Explanation, run: RunView): Part[] {
  const found: Part[] = [];
  let step: string | undefined;
  let worker = false;
  for (const part of parts) {
    if (part.kind === "step") step = part.name;
    if (part.kind !== "text") {
      worker = part.kind === "worker";
      found.push(part);
      continue;
    }
    let { text } = part;
    const since = step === undefined ? undefined : run.steps[step]?.startedAt;
    const elapsed = worker && since !== undefined ? /^ for ([\d.]+(?:ms|s|m|h|d))+/.exec(text) : null;
    if (elapsed !== null && since !== undefined) {
      found.push({ kind: "text", text: " for " }, { kind: "since", at: since, text: elapsed[0].slice(5) });
      text = text.slice(elapsed[0].length);
    }
    worker = false;
    const place = until === undefined ? -1 : text.indexOf(until);
    if (until !== undefined && place >= 0) {
      const before = text.slice(0, place).replace(/ (?:at|for) $/, " ");
      const after = text.slice(place + until.length).replace(/^, (?:due now|in [\dmsh.d]*[msh\dd](?=\.$|,|$))/, "");
      found.push({ kind: "text", text: before }, { kind: "until", at: until, text: until });
      text = after;
    }
    if (text !== "") found.push({ kind: "text", text });
  }
  return found;
}
