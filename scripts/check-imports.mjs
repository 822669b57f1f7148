/**
 * Holds the directions in which the parts of Sluice may depend on each other, and prints every import that goes another way.
 * Part of `npm run lint`. Plain Node, no dependencies.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "..");

/**
 * For each part, the parts whose values it may import; "base" are the files directly in src/ (errors), except the public
 * index. Types may come from the same parts only, but for machines/: they are pure, so types are all they take from src/.
 */
const ALLOWED = {
  base: [],
  machines: [],
  workflow: ["base", "machines"],
  step: ["base", "machines", "workflow"],
  chart: ["base", "protocol"],
  protocol: ["base", "machines", "workflow"],
  nats: ["base", "protocol", "workflow"],
  history: ["base", "machines", "nats", "protocol", "step", "workflow"],
  client: ["base", "nats", "protocol", "workflow"],
  worker: ["base", "machines", "nats", "protocol", "step", "workflow"],
  engine: ["base", "chart", "history", "machines", "nats", "protocol", "step", "workflow"],
  testing: ["base", "client", "engine", "history", "machines", "protocol", "step", "worker", "workflow"],
  server: ["base", "chart", "client", "engine", "history", "machines", "nats", "protocol", "step", "worker", "workflow"],
  ui: ["base", "chart", "machines", "protocol", "workflow"],
  dev: ["base", "client", "engine", "history", "nats", "protocol", "server", "worker", "workflow"],
  cli: ["base", "client", "dev", "engine", "history", "nats", "protocol", "server", "testing", "worker", "workflow", "index"],
  index: ["base", "client", "nats", "protocol", "worker", "workflow"],
};

/** Files that belong to another part than the folder they are in. */
const ELSEWHERE = {
  "src/engine/facts.ts": "protocol", // the journal's format: the engine writes it, the history reads it
};

/** Packages that only some parts may know. */
const PACKAGES = [
  { name: /^@nats-io\//, parts: ["nats"], why: "only src/nats knows the NATS client" },
  { name: /^xstate(\/|$)/, parts: ["chart", "machines", "step"], why: "only machines/, src/step and src/chart know XState" },
];

const problems = [];
for (const file of [...sources("machines"), ...sources("src")]) {
  const part = partOf(file);
  if (ALLOWED[part] === undefined) {
    problems.push(`${file}: the part "${part}" is not in the table of scripts/check-imports.mjs; put it there`);
    continue;
  }
  for (const { line, specifier, types } of importsOf(readFileSync(join(ROOT, file), "utf8"))) {
    const problem = specifier.startsWith(".") ? checkFile(file, part, specifier, types) : checkPackage(part, specifier, types);
    if (problem !== undefined) problems.push(`${file}:${line}: ${problem}`);
  }
}

if (problems.length > 0) {
  console.error(problems.join("\n"));
  console.error(`${problems.length} imports go the wrong way (directions: scripts/check-imports.mjs)`);
  process.exit(1);
}

function checkFile(file, part, specifier, types) {
  if (part === "ui" && specifier.endsWith(".css")) return undefined; // what the page's bundler takes along
  if (!specifier.endsWith(".ts") && !specifier.endsWith(".tsx") && !specifier.endsWith(".json"))
    return `"${specifier}": relative imports end with .ts`;
  const target = relative(ROOT, resolve(ROOT, dirname(file), specifier)).replaceAll("\\", "/");
  const other = partOf(target);
  if (other === part || ALLOWED[part].includes(other)) return undefined;
  if (part === "machines")
    return types && target.startsWith("src/")
      ? undefined
      : `machines/ may import only types from src/, not the values of ${target}`;
  return `${part} must not import from ${other} (${target})`;
}

function checkPackage(part, specifier, types) {
  if (/^sluice(\/|$)/.test(specifier)) return `"${specifier}": inside of Sluice, import the file itself`;
  if (part === "machines" && !types && !/^xstate(\/|$)/.test(specifier))
    return `machines/ may import only xstate, not "${specifier}"`;
  const rule = PACKAGES.find(({ name }) => name.test(specifier));
  return rule === undefined || rule.parts.includes(part) ? undefined : `"${specifier}": ${rule.why}`;
}

function partOf(file) {
  if (ELSEWHERE[file] !== undefined) return ELSEWHERE[file];
  const [top, second, third] = file.split("/");
  if (top !== "src") return top;
  if (third !== undefined) return second;
  return second === "index.ts" ? "index" : "base";
}

/** Import and re-export statements at the beginning of a line, `import()` calls, and whether only types are meant. */
function importsOf(source) {
  const found = [];
  const add = (index, specifier, types) => found.push({ line: source.slice(0, index).split("\n").length, specifier, types });
  for (const match of source.matchAll(/^(?:import|export)\s+(type\s+)?([^;"'`]*?)\s*(?:from\s*)?["']([^"']+)["']/gm)) {
    if (match[0].startsWith("export") && !/\sfrom\s*["']/.test(match[0])) continue;
    const named = match[2].match(/^\{([^}]*)\}$/)?.[1];
    const onlyTypes = named !== undefined && named.split(",").every((name) => name.trim() === "" || /^type\s/.test(name.trim()));
    add(match.index, match[3], match[1] !== undefined || onlyTypes);
  }
  for (const match of source.matchAll(/^(?!\s*(?:\/\/|\*)).*?\bimport\(\s*["']([^"']+)["']\s*\)(\.\w+)?/gm)) {
    // `import("x").Name` in the place of a type; an awaited module is never followed by a name directly.
    add(match.index, match[1], match[2] !== undefined && match[2] !== ".then" && match[2] !== ".catch");
  }
  return found;
}

function sources(folder) {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
    .map((entry) => relative(ROOT, join(entry.parentPath ?? entry.path, entry.name)).replaceAll("\\", "/"));
}
