/** What the README shows: its code compiles as a user's would, and its first workflow does what is written there. */
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { PROJECT_FOLDER, runCli, startCli, startNode } from "../support/process.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const readme = await readFile(join(PROJECT_FOLDER, "README.md"), "utf8");
const blocks = [...readme.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = ""]) => code);

test("the code of the README is strict TypeScript, read from top to bottom", async () => {
  expect(blocks.length).toBeGreaterThan(2);
  const folder = await temporaryFolder("readme");
  for (const scope of ["@types", "@statelyai"]) await mkdir(join(folder, "node_modules", scope), { recursive: true });
  await symlink(PROJECT_FOLDER, join(folder, "node_modules/sluice"), "dir");
  for (const name of ["zod", "xstate", "@types/node", "@statelyai/inspect"])
    await symlink(join(PROJECT_FOLDER, "node_modules", name), join(folder, "node_modules", name), "dir");
  const inline = [...readme.matchAll(/`(await using dev = .*?)`/g)].map(
    ([, code]) => `import { startDev } from "sluice/dev";\n${code};\nvoid dev.client;\n`,
  );
  expect(inline).toHaveLength(1);
  await writeFile(join(folder, "readme.ts"), [...blocks, ...inline].join("\n"));
  await writeFile(join(folder, "package.json"), '{"type":"module"}');
  const compilerOptions = {
    strict: true,
    noEmit: true,
    target: "es2023",
    lib: ["es2023", "dom", "esnext.disposable"],
    module: "nodenext",
    types: ["node"],
    skipLibCheck: true,
  };
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["readme.ts"] }));
  const { code, stdout } = await startNode([join(PROJECT_FOLDER, "node_modules/typescript/bin/tsc"), "-p", folder]).exited;
  expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
});

test("the first workflow has ten lines, and does what the README says", async () => {
  const [first = ""] = blocks;
  expect(
    first
      .trim()
      .split("\n")
      .filter((line) => line !== "").length,
  ).toBeLessThanOrEqual(10);
  const folder = await temporaryFolder("readme");
  await writeFile(join(folder, "answer.ts"), first);
  const options = { cwd: folder, env: { SLUICE_NATS_URL: undefined } };
  const dev = startCli(["dev", "answer.ts", "--nats-port", "0"], options);
  await dev.waitForOutput("Sluice is ready");
  const [, workflow = "", input = "", output = ""] =
    readme.match(/`npx sluice run (\S+) '([^`]+)' --wait` prints `([^`]+)`/) ?? [];
  expect(await runCli(["run", workflow, input, "--wait"], options)).toMatchObject({ code: 0, stdout: `${output}\n` });
  await dev.stop("SIGINT");
});
