/**
 * The test suite. One project per kind of test: `npx vitest run --project unit` runs one of them alone.
 * Acceptance tests use the built package, as a user would; everything else imports the sources.
 */
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { configDefaults, defineConfig, type TestProjectInlineConfiguration } from "vitest/config";

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));

const entries = (suffix: string, root: string) => [
  { find: /^sluice$/, replacement: at(`${root}/src/index${suffix}`) },
  { find: /^sluice\/(engine|dev|testing)$/, replacement: at(`${root}/src/$1/index${suffix}`) },
  { find: /^sluice\/dashboard$/, replacement: at(`${root}/src/server/index${suffix}`) },
];

/** `after`: comes after those with a lower number, one file at a time, since what it measures, or does, bears nothing beside it. `timeoutSeconds` is per test; generous, since the machine may be slow and shared: a hanging test fails by its own deadlines. */
function kind(
  name: string,
  options: { timeoutSeconds: number; server?: boolean; built?: boolean; browser?: boolean; after?: number },
): TestProjectInlineConfiguration {
  return {
    extends: true,
    resolve: { alias: options.built === true ? entries(".js", "./dist") : entries(".ts", ".") },
    test: {
      name,
      include: [`test/${name}/**/*.test.ts`],
      globalSetup: [
        ...(options.server === true ? [at("./test/support/global-setup.ts")] : []),
        ...(options.browser === true ? [at("./test/browser/support/global-setup.ts")] : []),
      ],
      testTimeout: options.timeoutSeconds * 1000,
      sequence: { groupOrder: options.after ?? 0 },
      // Most tests wait more than they compute.
      maxWorkers: options.after === undefined ? Math.max(2, availableParallelism() - 1) : 1,
      hookTimeout: 60_000,
    },
  };
}

export default defineConfig({
  test: {
    // A process per test file: tests start servers and set environment variables, and what one leaves behind is found.
    pool: "forks",
    setupFiles: [at("./test/support/setup.ts")],
    exclude: [...configDefaults.exclude, "dist/**"],
    projects: [
      kind("unit", { timeoutSeconds: 30 }),
      kind("model", { timeoutSeconds: 120 }),
      kind("integration", { timeoutSeconds: 60, server: true }),
      kind("acceptance", { timeoutSeconds: 90, server: true, built: true }),
      // The test has a time limit of its own, from the minutes that it is told to last.
      kind("chaos", { timeoutSeconds: 180, server: true, built: true, after: 2 }),
      kind("browser", { timeoutSeconds: 90, server: true, browser: true, after: 1 }),
    ],
  },
});
