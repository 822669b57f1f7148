/**
 * The facts of a journal message as the texts that they are there: they are stored as they came, since writing them as JSON again
 * takes longer than all else about them.
 */

const QUOTE = 34;
const BACKSLASH = 92;
const OPEN = 123;
const CLOSE = 125;
const END = 93;
/** `k` and `at` stand before the run's id. */
const MAX_BEFORE_RUN = 64;

/** As many as were parsed from it; undefined where they are not found so. */
export function factTexts(text: string, count: number): readonly string[] | undefined {
  const list = text.indexOf('"f":[');
  if (list < 0) return undefined;
  const texts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let i = list + 5; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) i = endOfString(text, i);
    else if (code === OPEN) {
      if (depth++ === 0) start = i;
    } else if (code === CLOSE) {
      if (--depth === 0) texts.push(text.slice(start, i + 1));
    } else if (code === END && depth === 0) break;
  }
  return texts.length === count ? texts : undefined;
}

/** The quote that ends the string which begins here. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let escapes = 0;
    while (text.charCodeAt(end - 1 - escapes) === BACKSLASH) escapes++;
    if (escapes % 2 === 0) return end;
  }
  return text.length;
}

/** Without the run's id, which is that of the row. Undefined where it does not stand where it always does. */
export function withoutRun(text: string, run: string): string | undefined {
  const part = `,"run":"${run}"`;
  const at = text.indexOf(part);
  return at > 0 && at < MAX_BEFORE_RUN ? text.slice(0, at) + text.slice(at + part.length) : undefined;
}
