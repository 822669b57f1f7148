/** Users' workflow files, as `sluice worker` loads them: what can be loaded, and what it says of what cannot. */
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, test } from "vitest";
import { PROJECT_FOLDER, runCli, startNode } from "../support/process.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const LOADER = pathToFileURL(join(PROJECT_FOLDER, "dist/src/cli/workflow-files.js")).href;

const TYPESCRIPT = `
  import { defineWorkflow, Strategy } from "sluice";
  import { z } from "zod";
  import { letter } from "./letter.js";
  enum Color { Red = "red" }
  export const one = defineWorkflow({ name: "one", input: z.object({}), concurrency: { key: () => Color.Red, strategy: Strategy.CANCEL_NEWEST } })
    .step("s", async (ctx): Promise<string> => letter(ctx.runId));
  export default defineWorkflow({ name: "two" }).step("s", () => 1);
  export const notOne = { name: "three" };
`;
const HELPER = "export const letter = (text: string): string => text.slice(0, 1);\n";

/** Files in a folder, with \`sluice\` and \`zod\` installed or not. */
async function folderWith(files: Readonly<Record<string, string>>, installed = true): Promise<string> {
  const folder = await temporaryFolder("files");
  if (installed) {
    await mkdir(join(folder, "node_modules"));
    await symlink(PROJECT_FOLDER, join(folder, "node_modules/sluice"), "dir");
    await symlink(join(PROJECT_FOLDER, "node_modules/zod"), join(folder, "node_modules/zod"), "dir");
  }
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  return folder;
}

/** The names of the workflows that are found. */
async function load(folder: string, ...files: readonly string[]): Promise<string[]> {
  const program = `import(${JSON.stringify(LOADER)})
    .then(({ loadWorkflows }) => loadWorkflows(${JSON.stringify(files)}, process.cwd()))
    .then((workflows) => console.log(JSON.stringify(workflows.map(({ name }) => name))));`;
  const { code, stdout, stderr } = await startNode(["--eval", program], { cwd: folder }).exited;
  if (code !== 0) throw new Error(stderr);
  return (JSON.parse(stdout) as string[]).sort();
}

/** What `sluice worker` says; it fails before it connects to anything. */
async function refusal(folder: string, ...files: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runCli(["worker", ...files, "--nats", "nats://127.0.0.1:1"], { cwd: folder });
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr.trimEnd().split("\n")).toHaveLength(1);
  return stderr.trimEnd();
}

describe("workflows are found", () => {
  test.each([true, false])(
    "in TypeScript, under every export, whether the folder is a package of modules (%s) or nothing",
    async (module) => {
      const files = { "flow.ts": TYPESCRIPT, "letter.ts": HELPER, ...(module ? { "package.json": '{"type":"module"}' } : {}) };
      expect(await load(await folderWith(files), "flow.ts")).toEqual(["one", "two"]);
    },
  );

  test("in TypeScript outside of any project, with the packages of the command itself", async () => {
    expect(await load(await folderWith({ "flow.ts": TYPESCRIPT, "letter.ts": HELPER }, false), "flow.ts")).toEqual([
      "one",
      "two",
    ]);
    const module = { "flow.mts": TYPESCRIPT, "letter.ts": HELPER, "package.json": '{"type":"module"}' };
    expect(await load(await folderWith(module, false), "flow.mts")).toEqual(["one", "two"]);
  });

  test.each([true, false])("in JavaScript, as modules and as CommonJS (installed: %s)", async (installed) => {
    const folder = await folderWith(
      {
        "a.mjs":
          'import { defineWorkflow } from "sluice"; export const list = [defineWorkflow({ name: "a" }).step("s", () => 1)];',
        "b.cjs": 'const { defineWorkflow } = require("sluice"); exports.b = defineWorkflow({ name: "b" }).step("s", () => 1);',
        "c.js":
          'const { defineWorkflow } = require("sluice"); module.exports = { c: defineWorkflow({ name: "c" }).step("s", () => 1) };',
      },
      installed,
    );
    expect(await load(folder, "a.mjs", "b.cjs", join(folder, "c.js"))).toEqual(["a", "b", "c"]);
  });

  test("once where a definition is exported twice, also by two files", async () => {
    const folder = await folderWith({
      "a.mjs":
        'import { defineWorkflow } from "sluice"; export const a = defineWorkflow({ name: "a" }).step("s", () => 1); export default a;',
      "b.mjs": 'export * from "./a.mjs";',
    });
    expect(await load(folder, "a.mjs", "b.mjs")).toEqual(["a"]);
  });
});

describe("a file that cannot be used is named, in one line", () => {
  const broken =
    'import { defineWorkflow } from "sluice";\nexport const x = defineWorkflow({ name: "x" }\n  .step("s", () => 1);\n';
  const wrong =
    'import { defineWorkflow } from "sluice";\nexport const x = defineWorkflow({ name: "x" })\n  .step("s", { retires: 3 }, () => 1);\n';

  test.each<[what: string, file: string, text: string, message: RegExp]>([
    ["a syntax error in TypeScript", "flow.ts", broken, /^error: flow\.ts:3:\d+: syntax error: Expected/],
    ["a syntax error in a module", "flow.mjs", broken, /^error: flow\.mjs:3: syntax error: missing \)/],
    ["a syntax error in CommonJS", "flow.cjs", "const x = (\n", /^error: flow\.cjs:\d+: syntax error: /],
    [
      "a definition error, with its place",
      "flow.ts",
      wrong,
      /^error: flow\.ts:3:\d+: unknown option 'retires': did you mean "retries"\? \(workflow "x", step "s"\)$/,
    ],
    ["a definition error in JavaScript", "flow.mjs", wrong, /^error: flow\.mjs:3:\d+: unknown option 'retires'/],
    ["no workflow", "flow.ts", "export const x = 1;", /^error: flow\.ts: exports no workflow; expected something like/],
    [
      "a workflow without steps",
      "flow.mjs",
      'import { defineWorkflow } from "sluice"; export const x = defineWorkflow({ name: "x" });',
      /^error: flow\.mjs: expected 'steps' to be at least one step/,
    ],
    [
      "a package that is not there",
      "flow.ts",
      'import "not-there";',
      /^error: flow\.ts: the package "not-there" is not installed; install it with "npm install not-there"$/,
    ],
    ["a file that is not there", "flow.mjs", 'import "./not-there.js";', /^error: flow\.mjs: there is no file not-there\.js$/],
    [
      "something thrown",
      "flow.ts",
      'const x: number = 1;\nthrow new TypeError("boom");\n',
      /^error: flow\.ts:2:\d+: threw TypeError: boom when it was loaded$/,
    ],
    ["something thrown that is no error", "flow.mjs", 'throw "boom";', /^error: flow\.mjs: threw boom when it was loaded$/],
    ["another kind of file", "flow.txt", "", /^error: flow\.txt: is neither TypeScript nor JavaScript$/],
  ])("%s", async (_what, file, text, message) => {
    expect(await refusal(await folderWith({ [file]: text }), file)).toMatch(message);
  });

  test("one that does not exist, and a folder", async () => {
    const folder = await folderWith({});
    expect(await refusal(folder, "nowhere.ts")).toBe("error: nowhere.ts: there is no such file");
    expect(await refusal(folder, "node_modules")).toBe("error: node_modules: is a folder; name the files in it");
  });

  test("two different workflows of one name", async () => {
    const define = (step: string) =>
      `import { defineWorkflow } from "sluice"; export const x = defineWorkflow({ name: "x" }).step("${step}", () => 1);`;
    const folder = await folderWith({ "a.mjs": define("a"), "b.mjs": define("b") });
    expect(await refusal(folder, "a.mjs", "b.mjs")).toBe(
      'error: b.mjs: workflow "x" is another one than the workflow of that name in a.mjs; give one of them another name',
    );
  });
});
