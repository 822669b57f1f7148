/** What the command line writes and reads as text: tables, styles, JSON lines, times, progress. */
import { PassThrough, Readable } from "node:stream";
import { describe, expect, test } from "vitest";
import { readEnvironment } from "../../src/cli/environment.ts";
import { formatAge, formatTook, rough } from "../../src/cli/format.ts";
import { readJsonLines } from "../../src/cli/json-lines.ts";
import { createProgress } from "../../src/cli/progress.ts";
import { renderDetails, renderTable } from "../../src/cli/table.ts";
import { createPainter, cut, oneLine, widthOf, type OutputStream, type Painter } from "../../src/cli/terminal.ts";

const plain: Painter = (_style, text) => text;

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

function stream(isTTY: boolean): OutputStream & { readonly written: () => string } {
  const through = new PassThrough({ encoding: "utf8" });
  return Object.assign(through, { isTTY, columns: 20, written: () => (through.read() as string | null) ?? "" });
}

describe("a table", () => {
  test("aligns its columns and leaves out those that are empty in every row", () => {
    const lines = renderTable(
      [{ title: "ID" }, { title: "NOTHING" }, { title: "COUNT", align: "right" }, { title: "NAME" }],
      [
        ["a", "", 5, "first"],
        ["long-id", undefined, 1234, "x"],
      ],
      plain,
    );
    expect(lines).toEqual(["ID       COUNT  NAME", "a            5  first", "long-id   1234  x"]);
  });

  test("counts wide characters as two columns", () => {
    expect(widthOf("日本")).toBe(4);
    expect(widthOf("e\u0301")).toBe(1);
    expect(
      renderTable(
        [{ title: "K" }, { title: "V" }],
        [
          ["日本", 1],
          ["ab", 2],
        ],
        plain,
      ),
    ).toEqual(["K     V", "日本  1", "ab    2"]);
  });

  test("shows control characters out of data instead of sending them to the terminal", () => {
    const [, row] = renderTable([{ title: "KEY" }], [["\u001b[2Jgone\nnext\u009b"]], plain);
    expect(row).toBe("\\u001b[2Jgone\\nnext\\u009b");
    expect(oneLine("a\tb")).toBe("a\\tb");
  });

  test("pads before it paints, so that colours do not move columns", () => {
    const painted: Painter = (style, text) => `<${style}>${text}</>`;
    const lines = renderTable([{ title: "S" }, { title: "N" }], [[{ text: "OK", style: "green" }, 1]], painted);
    expect(lines[1]).toBe("<green>OK</>  1");
  });
});

test("details leave out what has no value", () => {
  expect(
    renderDetails(
      [
        ["id", "x"],
        ["reason", undefined],
        ["longer name", 3],
      ],
      plain,
    ),
  ).toEqual(["id           x", "longer name  3"]);
});

describe("colour", () => {
  test.each([
    [true, {}, true],
    [false, {}, false],
    [true, { NO_COLOR: "1" }, false],
    [true, { TERM: "dumb" }, false],
  ])("terminal %s, environment %o: %s", (isTTY, env, coloured) => {
    expect(createPainter(stream(isTTY), readEnvironment(env))("red", "x") !== "x").toBe(coloured);
  });
});

describe("JSON lines", () => {
  const read = async (...chunks: readonly string[]) =>
    await all(readJsonLines(Readable.from(chunks.map((chunk) => Buffer.from(chunk)))));

  test("come one by one with their numbers, across chunks, line ends of any kind, and empty lines", async () => {
    expect(await read('\ufeff{"a":', '1}\r\n\n"x"\n', "3")).toEqual([
      { line: 1, ok: true, value: { a: 1 } },
      { line: 3, ok: true, value: "x" },
      { line: 4, ok: true, value: 3 },
    ]);
  });

  test("that are none are named, and the others go on", async () => {
    const lines = await read('{"a":1}\n{a:1}\n{"a":2}\n');
    expect(lines.map(({ line, ok }) => [line, ok])).toEqual([
      [1, true],
      [2, false],
      [3, true],
    ]);
    expect(lines[1]).toMatchObject({ problem: expect.stringMatching(/JSON/) as unknown });
  });

  test("keep characters whole that are split between two chunks", async () => {
    const bytes = Buffer.from('"日本"\n');
    expect(await all(readJsonLines(Readable.from([bytes.subarray(0, 3), bytes.subarray(3)])))).toEqual([
      { line: 1, ok: true, value: "日本" },
    ]);
  });
});

describe("times", () => {
  const now = Date.parse("2026-01-31T12:00:00.000Z");

  test.each([
    [0, "0ms"],
    [999, "999ms"],
    [1_240, "1.24s"],
    [59_400, "59s"],
    [61_000, "1m1s"],
    [3_661_000, "1h1m"],
    [90_061_000, "1d1h"],
  ])("%i ms are %s", (ms, text) => expect(rough(ms)).toBe(text));

  test("are in the past or to come", () => {
    expect(formatAge("2026-01-31T11:59:57.000Z", now)).toBe("3.00s ago");
    expect(formatAge("2026-01-31T13:00:00.000Z", now)).toBe("in 1h");
    expect(formatAge(undefined, now)).toBe("");
  });

  test("of what goes on count until now", () => {
    expect(formatTook("2026-01-31T11:59:59.500Z", undefined, now)).toBe("500ms");
    expect(formatTook("2026-01-31T11:59:59.500Z", "2026-01-31T11:59:59.600Z", now)).toBe("100ms");
    expect(formatTook(undefined, undefined, now)).toBe("");
  });
});

describe("progress", () => {
  test("is one line on a terminal, ten times a second at most, and goes away", () => {
    const out = stream(true);
    let now = 0;
    const progress = createProgress(out, () => now);
    progress.update("1 of many");
    progress.update("2 of many");
    now = 150;
    progress.update("3 of many, a line that is longer than the terminal");
    progress.clear();
    progress.clear();
    expect(out.written()).toBe("\r\u001b[2K1 of many\r\u001b[2K3 of many, a line t\r\u001b[2K");
  });

  test("is silent elsewhere", () => {
    const out = stream(false);
    createProgress(out).update("1");
    expect(out.written()).toBe("");
  });
});

test("what is cut says so", () => {
  expect(cut("abcdef", 4)).toBe("abc…");
  expect(cut("abcd", 4)).toBe("abcd");
});
