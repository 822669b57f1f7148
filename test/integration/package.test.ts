/**
 * The package as users get it: packed, installed into an empty folder by npm, and used through its documented entry points
 * only, from JavaScript and from strict TypeScript.
 */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { PROJECT_FOLDER, startNode, startProcess } from "../support/process.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { within } from "../support/wait.ts";

/** Where the package is installed. */
let folder: string;
let packed: string[];

async function run(command: string, args: readonly string[], cwd = folder, timeoutMs = 120_000) {
  // As a user's shell has it, and not as our own `npm test` left it.
  const env = Object.fromEntries(
    Object.keys(process.env)
      .filter((name) => /^npm_/i.test(name) || name === "NODE_ENV" || name === "NODE_OPTIONS")
      .map((name) => [name, undefined]),
  );
  const program = command === "node" ? startNode(args, { cwd, env }) : startProcess(command, args, { cwd, env });
  const result = await within(timeoutMs, `${command} ${args.join(" ")}`, program.exited);
  if (result.code !== 0)
    throw new Error(`${command} ${args.join(" ")} ended with ${result.code}\n${result.stdout}\n${result.stderr}`);
  return result.stdout;
}

beforeAll(async () => {
  folder = await temporaryFolder("package");
  const [report] = JSON.parse(
    await run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", folder], PROJECT_FOLDER),
  ) as [{ filename: string; files: { path: string }[] }];
  packed = report.files.map(({ path }) => path);
  const { devDependencies } = JSON.parse(await readFile(join(PROJECT_FOLDER, "package.json"), "utf8")) as {
    devDependencies: Record<string, string>;
  };
  await writeFile(join(folder, "package.json"), JSON.stringify({ name: "user", private: true, type: "module" }));
  // Without install scripts, which npm 11 does not run by default: no dependency may need one.
  const quiet = ["--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"];
  await run(
    "npm",
    ["install", ...quiet, `./${report.filename}`, `@types/node@${devDependencies["@types/node"]}`],
    folder,
    180_000,
  );
}, 300_000);

describe("the packed package", () => {
  test("has what is needed and nothing else", () => {
    for (const file of [
      "LICENSE",
      "package.json",
      "dist/src/index.js",
      "dist/src/index.d.ts",
      "dist/src/cli/main.js",
      "examples/per-user-demo.ts",
    ])
      expect(packed).toContain(file);
    expect(
      packed.filter((path) =>
        /^(src|test|scripts|machines|node_modules|\.)|\.(log|tgz|tsbuildinfo)$|\.made-from$|dist\/test/.test(path),
      ),
    ).toEqual([]);
  });

  test("has a command that says its version", async () => {
    const { version } = JSON.parse(await readFile(join(PROJECT_FOLDER, "package.json"), "utf8")) as { version: string };
    expect((await run("npx", ["--no-install", "sluice", "--version"])).trim()).toBe(version);
  });

  test("has its entry points for JavaScript, and no others", async () => {
    await writeFile(
      join(folder, "entries.js"),
      `import { connect, defineWorkflow, startWorker, Strategy } from "sluice";
       import { startEngine } from "sluice/engine";
       import { startDev } from "sluice/dev";
       import * as testing from "sluice/testing";
       const deep = await import("sluice/dist/src/index.js").then(() => "open", (error) => error.code);
       console.log(JSON.stringify([...[connect, defineWorkflow, startWorker, startEngine, startDev].map((value) => typeof value), typeof Strategy, Object.keys(testing).length > 0, deep]));`,
    );
    expect(JSON.parse(await run("node", ["entries.js"]))).toEqual([
      "function",
      "function",
      "function",
      "function",
      "function",
      "object",
      true,
      "ERR_PACKAGE_PATH_NOT_EXPORTED",
    ]);
  });

  test("has declarations that strict TypeScript accepts, and that type what is defined", async () => {
    await writeFile(
      join(folder, "user.ts"),
      `import { connect, defineWorkflow, startWorker, Strategy } from "sluice";
       import { startEngine } from "sluice/engine";
       import { startDev } from "sluice/dev";
       import * as testing from "sluice/testing";

       export const answer = defineWorkflow({
         name: "answer",
         on: ["message.sent"],
         concurrency: { key: "input.user_id", maxRuns: 1, strategy: Strategy.CANCEL_IN_PROGRESS },
       })
         .step("retrieve", async () => ({ documents: ["a"] }))
         .step("write", { after: ["retrieve"], retries: 3, timeout: "30s" }, async (ctx) => ({ text: ctx.output("retrieve").documents.join() }));

       export async function use(): Promise<string> {
         const sluice = await connect({ servers: "nats://localhost:4222" });
         await startWorker({ servers: "nats://localhost:4222", workflows: [answer], slots: 100 });
         const { write } = await (await sluice.run(answer, { user_id: "u1" })).result();
         const text: string = write.text;
         // @ts-expect-error there is no such step
         answer.step("more", { after: ["nothing"] }, async () => 1);
         return text;
       }
       export const others = [startEngine, startDev, testing];`,
    );
    const options = {
      target: "es2023",
      module: "nodenext",
      strict: true,
      noUncheckedIndexedAccess: true,
      noEmit: true,
      skipLibCheck: false,
      types: ["node"],
    };
    await writeFile(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions: options, files: ["user.ts"] }));
    expect(await run("node", [join(PROJECT_FOLDER, "node_modules/typescript/bin/tsc"), "-p", "."])).toBe("");
  });
});
