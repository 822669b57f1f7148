/** How wide texts are, by a canvas: boxes are made to measure before anything is in the page. */

export type TextStyle = "title" | "text" | "mono" | "event";
export type Measure = (text: string, style: TextStyle) => number;

/** Must say the same as chart.css. */
const FONTS: Readonly<Record<TextStyle, readonly [weight: number, size: number, mono: boolean]>> = {
  title: [600, 13, false],
  text: [400, 11.5, false],
  mono: [400, 11, true],
  event: [500, 11.5, false],
};

const measures = new Map<string, Measure>();

/** `families`: the CSS values of the proportional and the monospaced font. */
export function createMeasure(families: { readonly font: string; readonly mono: string }): Measure {
  const key = `${families.font}|${families.mono}`;
  const known = measures.get(key);
  if (known !== undefined) return known;
  const canvas = document.createElement("canvas").getContext("2d");
  const widths = new Map<string, number>();
  let current: TextStyle | undefined;
  const measure: Measure = (text, style) => {
    const id = `${style}|${text}`;
    let width = widths.get(id);
    if (width === undefined) {
      if (canvas === null) {
        width = text.length * 7;
      } else {
        if (current !== style) {
          const [weight, size, mono] = FONTS[style];
          canvas.font = `${weight} ${size}px ${mono ? families.mono : families.font}`;
          current = style;
        }
        width = Math.ceil(canvas.measureText(text).width * 10) / 10;
      }
      if (widths.size > 20_000) widths.clear();
      widths.set(id, width);
    }
    return width;
  };
  measures.set(key, measure);
  return measure;
}

/** Shortened at its end, so that it is at most so wide. */
export function shorten(text: string, style: TextStyle, max: number, measure: Measure): string {
  if (measure(text, style) <= max) return text;
  let low = 0;
  let high = text.length;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (measure(`${text.slice(0, middle).trimEnd()}…`, style) <= max) low = middle;
    else high = middle - 1;
  }
  return `${text.slice(0, low).trimEnd()}…`;
}

/** Broken at spaces into lines of at most that width; what is beyond the last line is cut. */
export function wrap(text: string, style: TextStyle, max: number, lines: number, measure: Measure): readonly string[] {
  const out: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/)) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (line === "" || measure(longer, style) <= max) line = longer;
    else {
      out.push(line);
      line = word;
    }
  }
  if (line !== "") out.push(line);
  if (out.length <= lines) return out.map((one) => shorten(one, style, max, measure));
  const last = shorten(out.slice(lines - 1).join(" "), style, max, measure);
  return [...out.slice(0, lines - 1), last];
}
