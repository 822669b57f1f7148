/**
 * What `npm start`, `npm test`, `npm run bench` and `npm run build` run: does whatever set-up is missing, then the thing itself,
 * in this very process, so that signals and exit codes need no passing on. Plain Node without dependencies, in a syntax that
 * older versions can read, so that those get a message and not a syntax error.
 *
 *   node scripts/bootstrap.mjs start|test|bench|build [arguments…]
 *
 * The NATS server is found, or fetched, by what needs one: `sluice dev` and the global setup of the tests.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const DIST = join(ROOT, "dist");
const MINIMUM_NODE = [20, 19, 0];

/** What is compiled, and what decides how. */
const SOURCES = ["src", "machines", "examples"];
const SETTINGS = ["tsconfig.json", "tsconfig.build.json", "package-lock.json", "package.json"];

const TARGETS = {
  start: async (args) => await run(join(DIST, "src/cli/main.js"), ["dev", ...args]),
  test: async (args) => await run(join(ROOT, "node_modules/vitest/vitest.mjs"), ["run", ...args]),
  bench: async (args) => {
    const { register } = await import(pathToFileURL(join(ROOT, "node_modules/tsx/dist/esm/api/index.mjs")).href);
    register(); // benchmarks are not built; what they measure, "sluice", is
    await run(join(ROOT, "test/bench/main.ts"), args);
  },
  build: async () => undefined,
};

const [target, ...args] = process.argv.slice(2);
if (!Object.prototype.hasOwnProperty.call(TARGETS, target)) {
  fail(`usage: node scripts/bootstrap.mjs ${Object.keys(TARGETS).join("|")} [arguments…]`, 2);
}
checkNode();
install();
build(target === "build");
await TARGETS[target](args);

function checkNode() {
  const version = process.versions.node.split(".").map(Number);
  for (let index = 0; index < 3; index += 1) {
    if (version[index] > MINIMUM_NODE[index]) return;
    if (version[index] < MINIMUM_NODE[index])
      fail(`Sluice needs Node.js ${MINIMUM_NODE.join(".")} or newer; this is ${process.versions.node} (${process.execPath})`);
  }
}

/** Runs `npm ci` unless node_modules holds exactly what package-lock.json says. */
function install() {
  const missing = missingDependency();
  if (missing === undefined) return;
  say(`installing dependencies (${missing})`);
  // Without the optional log of funds and audits; with development dependencies even where NODE_ENV is "production".
  npm(["ci", "--include=dev", "--no-audit", "--no-fund", "--loglevel=error"]);
  const still = missingDependency();
  if (still !== undefined) fail(`the dependencies are still not complete after 'npm ci' (${still})`);
}

/** npm keeps what it has installed in node_modules/.package-lock.json, written as its last act. */
function missingDependency() {
  const wanted = readJson(join(ROOT, "package-lock.json"));
  if (wanted === undefined) fail("package-lock.json is missing or unreadable");
  const installed = readJson(join(ROOT, "node_modules/.package-lock.json"));
  if (installed === undefined) return "node_modules is not there";
  for (const [path, entry] of Object.entries(wanted.packages)) {
    if (path === "" || entry.optional === true || entry.devOptional === true) continue; // the root; what other platforms need
    const there = installed.packages[path];
    if (there === undefined) return `${path} is not there`;
    if (there.version !== entry.version) return `${path} is ${there.version}, not ${entry.version}`;
  }
  return undefined;
}

function npm(args) {
  // npm says where it is when it runs a script of ours, so the same npm is used again.
  const cli = process.env.npm_execpath;
  const [command, first] = cli !== undefined && /npm-cli\.[cm]?js$/.test(cli) ? [process.execPath, [cli]] : ["npm", []];
  const result = spawnSync(command, [...first, ...args], {
    cwd: ROOT,
    stdio: ["ignore", "inherit", "inherit"],
    shell: process.platform === "win32" && command === "npm",
  });
  if (result.error !== undefined) fail(`npm could not be run: ${result.error.message}`);
  if (result.status !== 0) fail(`'npm ${args.join(" ")}' failed; its output is above`);
}

/** Compiles the sources to dist/ unless dist/ was made from exactly these. */
function build(always) {
  const stamp = join(DIST, ".made-from");
  const sources = SOURCES.flatMap(filesBelow);
  const hash = hashOf([...sources, ...SETTINGS]);
  if (!always && existsSync(stamp) && readFileSync(stamp, "utf8") === hash) return;
  say("building");
  rmSync(stamp, { force: true });
  removeStale(new Set(sources));
  const result = spawnSync(process.execPath, [join(ROOT, "node_modules/typescript/bin/tsc"), "-p", "tsconfig.build.json"], {
    cwd: ROOT,
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (result.status !== 0) fail("the build failed; the compiler's output is above");
  const page = spawnSync(
    process.execPath,
    [join(ROOT, "node_modules/vite/bin/vite.js"), "build", "--config", "src/ui/vite.config.ts", "--logLevel", "warn"],
    { cwd: ROOT, stdio: ["ignore", "inherit", "inherit"] },
  );
  if (page.status !== 0) fail("the dashboard could not be built; the output is above");
  const command = join(DIST, "src/cli/main.js");
  if (existsSync(command)) chmodSync(command, 0o755);
  mkdirSync(DIST, { recursive: true });
  writeFileSync(stamp, hash);
}

/** Output of sources that are gone would be found by whoever looks through dist/, and packed. */
function removeStale(sources) {
  for (const file of filesBelow("dist").filter((path) => !path.startsWith("dist/ui/"))) {
    const match = /^dist\/(.*?)(?:\.d)?\.(?:js|ts)(?:\.map)?$/.exec(file);
    if (match !== null && !sources.has(`${match[1]}.ts`) && !sources.has(`${match[1]}.tsx`))
      rmSync(join(ROOT, file), { force: true });
  }
}

function hashOf(files) {
  const hash = createHash("sha256");
  for (const file of files) {
    hash.update(`${file}\0`);
    hash.update(readFileSync(join(ROOT, file)));
    hash.update("\0");
  }
  return hash.digest("hex");
}

/** Paths from the root, with slashes, sorted. */
function filesBelow(folder) {
  const path = join(ROOT, folder);
  if (!existsSync(path)) return [];
  const files = [];
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const below = `${folder}/${entry.name}`;
    if (entry.isDirectory()) files.push(...filesBelow(below));
    else if (entry.isFile() && entry.name !== ".made-from") files.push(below);
  }
  return files.sort();
}

/** Becomes that program: same process, its arguments. */
async function run(file, args) {
  if (!existsSync(file)) fail(`${relative(ROOT, file)} does not exist`);
  process.argv = [process.execPath, file, ...args];
  endWithShell();
  await import(pathToFileURL(file).href);
}

/**
 * npm runs us in a shell and passes signals on to that shell only, which dies of them without telling us. Whoever ends npm
 * means us, so the end of the shell counts as SIGTERM. (Ctrl-C in a terminal reaches us directly.)
 */
function endWithShell() {
  if (process.env.npm_lifecycle_event === undefined || process.platform === "win32") return;
  const shell = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === shell) return;
    clearInterval(watch);
    process.kill(process.pid, "SIGTERM");
  }, 200);
  watch.unref();
}

function readJson(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return undefined;
  }
}

/** To standard error: standard output belongs to what is run. */
function say(line) {
  process.stderr.write(`sluice: ${line}\n`);
}

function fail(line, status = 1) {
  say(line);
  process.exit(status);
}
