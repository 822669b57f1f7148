/**
 * `npm run test:chaos -- --minutes 30 [--seed N] [--rate N]`: the chaos test for as long as wanted. Without `--minutes`, for one. Builds first, since it runs the built command line.
 */
import { spawnSync } from "node:child_process";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const VARIABLES = { minutes: "SLUICE_CHAOS_MINUTES", seed: "SLUICE_CHAOS_SEED", rate: "SLUICE_CHAOS_RATE" };

const { values } = readArguments();
const env = { SLUICE_CHAOS_MINUTES: "1", ...process.env };
for (const [name, text] of Object.entries(values)) {
  const value = Number(text);
  if (!(value > 0) || (name === "seed" && !Number.isSafeInteger(value)))
    fail(`expected --${name} to be a number above 0, got ${text}`);
  env[VARIABLES[name]] = text;
}
run(["scripts/bootstrap.mjs", "build"]);
run(["node_modules/vitest/vitest.mjs", "run", "--project", "chaos", "--disable-console-intercept"]);

function readArguments() {
  const text = { type: "string" };
  try {
    return parseArgs({ options: { minutes: text, seed: text, rate: text } });
  } catch (error) {
    return fail(error.message);
  }
}

function run(args) {
  const { status } = spawnSync(process.execPath, args, { cwd: ROOT, stdio: "inherit", env });
  if (status !== 0) process.exit(status ?? 1);
}

function fail(problem) {
  console.error(`${problem}\nusage: npm run test:chaos -- [--minutes N] [--seed N] [--rate runs per second]`);
  process.exit(2);
}
