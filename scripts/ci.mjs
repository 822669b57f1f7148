/**
 * What `.ci/run` and `npm run ci` run: every check, also after one has failed, then one line with the sum, "N passed, N failed":
 * each test of the suite counts, and each other check counts as one. Plain Node, since it also installs the dependencies.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const CHECK_LIMIT_MS = 5 * 60_000;
/** A suite that hangs must not hide what the other checks found. */
const TESTS_LIMIT_MS = 30 * 60_000;

let passed = 0;
let failed = 0;
/** What failed, for the end of a long output. */
const failures = [];

// First: it installs the dependencies; the types of "sluice" that benchmarks and acceptance tests import are in dist/.
await check("build", ["scripts/bootstrap.mjs", "build"]);
await check("typecheck", ["node_modules/typescript/bin/tsc", "-p", "tsconfig.json"]);
await check("typecheck of the dashboard", ["node_modules/typescript/bin/tsc", "-p", "src/ui/tsconfig.json"]);
await check("typecheck of the browser tests", ["node_modules/typescript/bin/tsc", "-p", "test/browser/tsconfig.json"]);
await check("lint", ["node_modules/oxlint/bin/oxlint", "--type-aware"]);
await check("import directions", ["scripts/check-imports.mjs"]);
await check("format", ["node_modules/oxfmt/bin/oxfmt", "--check"]);
await tests();

if (failures.length > 0) console.log(`\nfailed:\n  ${failures.join("\n  ")}\n`);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);

async function check(name, args) {
  const problem = await runNode(name, args, CHECK_LIMIT_MS);
  if (problem === undefined) passed += 1;
  else fail(name, problem);
}

async function tests() {
  const folder = mkdtempSync(join(tmpdir(), "sluice-ci-"));
  try {
    const report = join(folder, "report.json");
    const args = [
      "node_modules/vitest/vitest.mjs",
      "run",
      "--reporter=default",
      "--reporter=json",
      `--outputFile.json=${report}`,
    ];
    const problem = await runNode("tests", args, TESTS_LIMIT_MS);
    const before = failed;
    const skipped = readReport(report);
    // A failure that is no test's and no file's: the global setup, an error that nobody caught, the time limit.
    if (problem !== undefined && failed === before) fail("tests", problem);
    if (skipped > 0) console.log(`${skipped} tests were SKIPPED`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Counts the tests; a file that failed as a whole (it does not load, a hook failed) counts as one. Returns the number skipped. */
function readReport(file) {
  let report;
  try {
    report = JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return 0; // the tests ended without a report, and not with 0
  }
  let skipped = 0;
  for (const { name, status, message, assertionResults } of report.testResults) {
    const path = relative(ROOT, name);
    let failedHere = 0;
    for (const test of assertionResults) {
      if (test.status === "passed") passed += 1;
      else if (test.status === "failed") {
        failedHere += 1;
        fail(`${path} > ${test.fullName}`, firstLine(test.failureMessages?.[0]));
      } else skipped += 1;
    }
    if (status === "failed" && failedHere === 0) fail(path, firstLine(message));
  }
  return skipped;
}

function fail(name, problem) {
  failed += 1;
  failures.push(`${name}: ${problem}`);
}

function firstLine(text) {
  return text?.split("\n").find((line) => line.trim() !== "") ?? "failed";
}

/** Runs a program of the project with Node, in a process group of its own so that the time limit ends all of it. */
async function runNode(name, args, limitMs) {
  console.log(`\n=== ${name}`);
  const began = Date.now();
  const group = process.platform !== "win32";
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ["ignore", "inherit", "inherit"], detached: group });
  const end = (signal) => {
    try {
      if (group && child.pid !== undefined) process.kill(-child.pid, signal);
      else child.kill(signal);
    } catch {
      // It has ended.
    }
  };
  const stop = (signal) => {
    end(signal);
    process.exit(1);
  };
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, stop);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    end("SIGKILL");
  }, limitMs);
  const problem = await new Promise((resolve) => {
    child.on("error", (error) => resolve(error.message));
    child.on("exit", (code, signal) =>
      resolve(code === 0 ? undefined : late ? `took longer than ${limitMs / 60_000} min` : `ended with ${code ?? signal}`),
    );
  });
  clearTimeout(timer);
  for (const signal of ["SIGINT", "SIGTERM"]) process.off(signal, stop);
  console.log(`=== ${name}: ${problem ?? "passed"} (${((Date.now() - began) / 1000).toFixed(1)} s)`);
  return problem;
}
