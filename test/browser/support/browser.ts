/**
 * A real browser for a test file, and pages of it that fail their test on what must never happen: an error in the console or
 * on the page, something that the security policy forbids, a request to another machine.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BrowserContext, chromium, type Page } from "playwright-core";
import { expect } from "vitest";
import { onCleanup } from "../../support/cleanup.ts";
import { shot } from "./shot.ts";

export interface PageOptions {
  /** Default 1400. */
  readonly width?: number;
  /** Default 900. */
  readonly height?: number;
  /** The system's theme. Default dark. */
  readonly theme?: "dark" | "light";
  /** Console errors that belong to the test: of a server that is down, of a request that is refused. */
  readonly tolerate?: readonly RegExp[];
  /** Called before the page is opened: routes, scripts of a test. */
  readonly prepare?: (page: Page) => Promise<void>;
}

export interface TestBrowser {
  readonly context: BrowserContext;
  /** A page of its own for the current test; it is closed and judged at its end. */
  openPage(url: string, options?: PageOptions): Promise<Page>;
  close(): Promise<void>;
}

const ARGS = [
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-dev-shm-usage",
];

/** For `describe.skipIf(noBrowser)("…")`; the global setup has said it, and why, loudly. */
export const noBrowser = process.env["SLUICE_TEST_BROWSER"] === undefined;

/** Call it in `beforeAll`: one browser for the file. Closed at its end. */
export async function openBrowser(): Promise<TestBrowser> {
  const executablePath = process.env["SLUICE_TEST_BROWSER"];
  if (executablePath === undefined) throw new Error("there is no browser: skip the tests with describe.skipIf(noBrowser)");
  const profile = await mkdtemp(join(tmpdir(), "sluice-browser-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath,
    headless: true,
    chromiumSandbox: false,
    args: ARGS,
    viewport: { width: 1400, height: 900 },
  });
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> =>
    (closing ??= (async () => {
      await context.close();
      await rm(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    })());
  onCleanup(close);
  return { context, openPage: (url, options) => openPage(context, url, options), close };
}

async function openPage(context: BrowserContext, url: string, options: PageOptions = {}): Promise<Page> {
  const { width = 1400, height = 900, theme = "dark", tolerate = [], prepare } = options;
  const page = await context.newPage();
  const problems: string[] = [];
  const test = expect.getState().currentTestName ?? "";
  const add = (problem: string): void => {
    if (!tolerate.some((pattern) => pattern.test(problem))) problems.push(problem);
  };
  page.on("console", (message) => {
    if (message.type() === "error") add(`console: ${message.text()} (${message.location().url})`);
  });
  page.on("pageerror", (error) => add(`page: ${error.stack ?? error.message}`));
  page.on("crash", () => add("the page has crashed"));
  page.on("request", (request) => {
    const { protocol, hostname } = new URL(request.url());
    if (/^(https?|wss?):$/.test(protocol) && hostname !== "127.0.0.1") add(`request to ${request.url()}`);
  });
  onCleanup(async () => {
    // How it stood at the end, for who looks for the reason of a failure.
    await shot(page, `end-of-${test.replaceAll(/[^a-z0-9]+/gi, "-").slice(-100)}`).catch(() => undefined);
    await page.close();
    if (problems.length > 0) throw new Error(`the page had problems:\n  ${[...new Set(problems)].join("\n  ")}`);
  });
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      console.error(
        `security policy: ${event.violatedDirective} forbids ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`,
      );
    });
  });
  await page.setViewportSize({ width, height });
  await page.emulateMedia({ colorScheme: theme });
  await prepare?.(page);
  await page.goto(url, { waitUntil: "domcontentloaded" });
  // Before the shell is there, nobody listens to keys.
  await page.locator("main#main").waitFor();
  return page;
}
