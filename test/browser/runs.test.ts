/** The page of all runs, over a real engine: live, filtered, by keyboard, in bulk. */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pino } from "pino";
import type { Page } from "playwright-core";
import { defineWorkflow, Strategy } from "sluice";
import { beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { cancelDemo } from "../../examples/cancel-demo.ts";
import { concurrencyDemo } from "../../examples/concurrency-demo.ts";
import { perUserDemo } from "../../examples/per-user-demo.ts";
import { encodeBatch, type Fact } from "../../src/engine/facts.ts";
import { unreadyHealth } from "../../src/engine/health.ts";
import { startDashboard } from "../../src/server/index.ts";
import { onCleanup } from "../support/cleanup.ts";
import { startFakeEngine } from "../support/fake-engine.ts";
import { DirectProjector } from "../support/history-world.ts";
import { startTestServer } from "../support/nats.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait.ts";
import { axeCheck } from "./support/axe.ts";
import { noBrowser, openBrowser, type TestBrowser } from "./support/browser.ts";
import { shot } from "./support/shot.ts";
import { soon } from "./support/soon.ts";
import { type DashboardWorld, startDashboardWorld } from "./support/world.ts";

const greet = defineWorkflow({ name: "greet", on: ["user.created"], input: z.object({ user_id: z.string() }) })
  .step("look-up", async () => ({ found: true }))
  .step("write", { after: ["look-up"] }, async () => ({ text: "hello" }));

/** Holds its slot until it is cancelled, or the test is over. */
const hold = defineWorkflow({
  name: "hold",
  on: ["hold.wanted"],
  input: z.object({ tenant: z.string() }),
  concurrency: { name: "tenant", key: (ctx) => ctx.input.tenant, maxRuns: 1, strategy: Strategy.GROUP_ROUND_ROBIN },
}).step("hold", async (ctx) => {
  await sleep(3_600_000, undefined, { signal: ctx.signal });
});

const fail = defineWorkflow({ name: "fail", on: ["fail.wanted"], input: z.object({ why: z.string() }) }).step("try", (ctx) => {
  throw new Error(`no luck: ${ctx.input.why}`);
});

describe.skipIf(noBrowser)("the page of all runs", () => {
  let world: DashboardWorld;
  let browser: TestBrowser;
  beforeAll(async () => {
    world = await startDashboardWorld({ workflows: [greet, hold, fail] });
    browser = await openBrowser();
  });

  const rows = (page: Page, status?: string) =>
    page.locator(`.runs-row[data-id]${status === undefined ? "" : `[data-status=${status}]`}`);
  const filterOf = (page: Page) => new URL(page.url()).searchParams.get("q");

  test("says what to type while there are none, and then shows new ones and how they go on by itself", async () => {
    const page = await browser.openPage(`${world.url}/`);
    await page.getByText("No runs yet").waitFor();
    await page.getByText(/nats --server .* pub sluice\.events\./).waitFor();
    await soon(() => new URL(page.url()).pathname).toBe("/runs");
    await shot(page, "runs-empty-dark");
    await axeCheck(page);

    await world.client.publish("user.created", { user_id: "ada" });
    const row = rows(page, "SUCCEEDED");
    await row.waitFor();
    await soon(() => row.locator(".runs-cell-workflow").textContent()).toBe("greet");
    await waitFor(async () => (await row.locator(".runs-steps i[data-status=SUCCEEDED]").count()) === 2);

    await world.client.publish("hold.wanted", { tenant: "acme" });
    await rows(page, "RUNNING").waitFor();
    await world.client.publish("hold.wanted", { tenant: "acme" });
    await rows(page, "QUEUED").waitFor();
    await page.getByRole("button", { name: "Queued 1" }).waitFor();
    const [held] = (await world.client.runs.list({ workflow: "hold", status: "RUNNING" })).items;
    await world.client.runs.cancel(held?.id ?? "");
    // Its row changes where it is, and the one that waited is let in.
    await page.locator(`[data-id="${held?.id}"][data-status=CANCELLED]`).waitFor();
    await waitFor(async () => (await rows(page, "RUNNING").count()) === 1 && (await rows(page, "QUEUED").count()) === 0);
  });

  test("keeps the filter in the address, so that it can be shared, and back and forward work", async () => {
    await world.client.publish("fail.wanted", { why: "rain" });
    const page = await browser.openPage(`${world.url}/runs?q=${encodeURIComponent("workflow:fail status:failed")}`);
    await waitFor(async () => (await rows(page).count()) >= 1);
    await soon(async () => [...new Set(await rows(page).locator(".runs-cell-workflow").allTextContents())]).toEqual(["fail"]);
    await waitFor(async () => (await page.getByRole("combobox").inputValue()) === "workflow:fail status:failed");

    await page.getByRole("button", { name: /^Failed/ }).click();
    await soon(() => filterOf(page)).toBe("workflow:fail");
    await page.getByRole("combobox").fill("workflow:greet ada");
    await page.keyboard.press("Enter");
    await waitFor(() => filterOf(page) === "workflow:greet ada");
    await waitFor(async () =>
      (await rows(page).locator(".runs-cell-workflow").allTextContents()).every((name) => name === "greet"),
    );
    await page.goBack();
    await waitFor(() => filterOf(page) === "workflow:fail");
    await page.goBack();
    await waitFor(() => filterOf(page) === "workflow:fail status:failed");
    await waitFor(async () => (await page.getByRole("combobox").inputValue()) === "workflow:fail status:failed");
    await page.goForward();
    await waitFor(() => filterOf(page) === "workflow:fail");
  });

  test("completes fields and values, and says what it does not understand", async () => {
    await world.client.run("hold", { tenant: "acme" });
    const page = await browser.openPage(`${world.url}/runs`);
    await page.keyboard.press("/");
    const box = page.getByRole("combobox");
    await box.pressSequentially("work");
    await page.getByRole("option", { name: /^workflow:/ }).waitFor();
    await page.keyboard.press("Tab");
    await page.getByRole("option", { name: "greet" }).waitFor();
    await shot(page, "runs-completion");
    await axeCheck(page);
    await box.pressSequentially("gr");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await box.pressSequentially("group:ten");
    await page.getByRole("option", { name: "tenant/acme" }).waitFor();
    await page.keyboard.press("Escape");
    await box.fill("-status:failed");
    await page.getByText("filters can only ask for something").waitFor();
    await box.fill("flow:greet");
    await page.getByText('There is no filter "flow:"; perhaps "workflow:"').waitFor();
    await box.fill("state:run.running");
    await page.getByText('"state:" needs "workflow:"').waitFor();
    await box.fill("nothing-has-this-text");
    await page.getByText("No run matches").waitFor();
    await page.getByRole("button", { name: "Clear the filter" }).last().click();
    await rows(page).first().waitFor();
    await soon(() => filterOf(page)).toBeNull();
  });

  test("completes keys, tags, groups, times and states that there are, by keyboard, and takes what is pasted", async () => {
    const tag = { metadata: { team: "blue ocean" } };
    const run = await world.client.run("fail", { why: "tags" }, tag);
    await waitFor(async () => (await world.client.runs.get(run.id)).status === "FAILED");
    await waitFor(async () => (await world.client.runs.list({ tag: "team=blue ocean" })).items.length > 0);
    await world.client.run("hold", { tenant: "acme" });
    const page = await browser.openPage(`${world.url}/runs`);
    await page.keyboard.press("/");
    const box = page.getByRole("combobox");
    const choose = async (typed: string, option: string, text: string): Promise<void> => {
      await box.pressSequentially(typed);
      await page.getByRole("option", { name: option, exact: true }).waitFor();
      await page.keyboard.press("Tab");
      await soon(() => box.inputValue()).toBe(text);
    };
    await choose("ta", "tag: metadata: name=value, or name alone", "tag:");
    await choose("te", "team=blue ocean", 'tag:"team=blue ocean" ');
    await choose("status:fai", "failed", 'tag:"team=blue ocean" status:failed ');
    await choose("since:2", "24h a day ago", 'tag:"team=blue ocean" status:failed since:24h ');
    await soon(() => filterOf(page)).toBe('tag:"team=blue ocean" status:failed since:24h');
    await page.locator(`[data-id="${run.id}"]`).waitFor();
    await soon(() => rows(page).count()).toBe(1);
    // Behind a space, Tab goes on to what is next on the page, and takes nothing.
    await page.keyboard.press("Tab");
    await soon(() => box.evaluate((input) => input === document.activeElement)).toBe(false);
    expect((await box.inputValue()).trim()).toBe('tag:"team=blue ocean" status:failed since:24h');

    await box.fill("");
    await choose("group:tenant/a", "tenant/acme", "group:tenant/acme ");
    await box.fill("");
    await choose("key:ac", "acme", "key:acme ");
    await choose("workflow:ho", "hold", "key:acme workflow:hold ");
    await choose("state:run.runn", "run.running", "key:acme workflow:hold state:run.running ");
    await waitFor(async () => (await rows(page, "RUNNING").count()) === 1);

    // Lines of a table or a mail become words; what cannot be meant is said, of each word.
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"], { origin: world.url });
    await page.evaluate(async () => await navigator.clipboard.writeText("workflow:fail\nstatus:odd\r\n\tsince: 1h\n"));
    await box.selectText();
    await page.keyboard.press("Control+V");
    await soon(() => box.inputValue()).toBe("workflow:fail status:odd since: 1h");
    await page.getByText('There is no status "odd"').waitFor();
    await page.getByText('"since:" has no value; without a space it would be since:1h').waitFor();
    await soon(() => box.getAttribute("aria-invalid")).toBe("true");
    await axeCheck(page);
    await shot(page, "runs-problems");
    await soon(() => filterOf(page)).toBe("workflow:fail status:odd since: 1h");
    await page.reload();
    await soon(() => box.inputValue()).toBe("workflow:fail status:odd since: 1h");
  });

  test("shows what came between its first look and the beginning of its stream", async () => {
    let open = (): void => undefined;
    const opened = new Promise<void>((resolve) => (open = resolve));
    const page = await browser.openPage(`${world.url}/runs?q=key%3Agap`, {
      prepare: async (page) => {
        await page.route("**/api/stream*", async (route) => {
          await opened;
          await route.continue();
        });
      },
    });
    await page.getByText("No run matches").waitFor();
    await world.client.publish("hold.wanted", { tenant: "gap" });
    await waitFor(async () => (await world.client.runs.list({ key: "gap", status: "RUNNING" })).items.length === 1);
    open();
    await rows(page, "RUNNING").waitFor();
    await page.locator(".runs-counters").getByText("All 1", { exact: true }).waitFor();
  });

  test("stops cancelling many where one says so, and tells how far it was", async () => {
    await world.client.publishMany(Array.from({ length: 600 }, () => ({ event: "hold.wanted", payload: { tenant: "stop" } })));
    await waitFor(async () => (await world.client.runs.count({ key: "stop" })).count === 600, { timeoutMs: 20_000 });
    let asked = 0;
    let go = (): void => undefined;
    const stopped = new Promise<void>((resolve) => (go = resolve));
    const page = await browser.openPage(`${world.url}/runs?q=key%3Astop`, {
      prepare: async (page) => {
        await page.route("**/api/run.cancelMany", async (route) => {
          asked++;
          if (asked === 2) await stopped;
          await route.continue();
        });
      },
    });
    await rows(page).first().waitFor();
    await page.keyboard.press("j");
    await page.keyboard.press("x");
    await page.getByRole("button", { name: "Select all 600 matches" }).click();
    await page.keyboard.press("c");
    await page.getByRole("dialog").getByRole("button", { name: "Cancel 600 runs" }).click();
    const bar = page.getByRole("region", { name: "Cancelling runs" });
    await bar.getByText("200 done, 400 left").waitFor();
    await soon(() => asked).toBe(2);
    await bar.getByRole("button", { name: "Stop" }).click();
    await bar.getByText("stopping …").waitFor();
    // What is under way ends; nothing follows it.
    go();
    await bar.getByText("400 cancelled").waitFor();
    await bar.getByText("200 left, stopped").waitFor();
    await shot(page, "runs-bulk-stopped");
    await axeCheck(page);
    expect(asked).toBe(2);
    expect((await world.client.runs.count({ key: "stop", status: ["QUEUED", "RUNNING"] })).count).toBe(200);
    await bar.getByRole("button", { name: "Dismiss" }).click();
    await soon(() => bar.count()).toBe(0);
  });

  test("works by keyboard alone: find, open, come back, select, cancel", async () => {
    await world.client.publish("hold.wanted", { tenant: "keys" });
    await world.client.publish("hold.wanted", { tenant: "keys" });
    const page = await browser.openPage(`${world.url}/runs`);
    await page.keyboard.press("/");
    await page.keyboard.type("key:keys");
    await page.keyboard.press("Enter");
    await page.keyboard.press("Escape");
    await waitFor(async () => (await rows(page).count()) === 2);
    await page.keyboard.press("j");
    await page.keyboard.press("j");
    const second = await rows(page).nth(1).getAttribute("data-id");
    await soon(() => page.locator(".runs-row[data-current]").getAttribute("data-id")).toBe(second);
    await page.keyboard.press("Enter");
    await waitFor(() => new URL(page.url()).pathname === `/runs/${second}`);
    await waitFor(async () => (await page.locator(".runs-row").count()) === 0);
    await page.keyboard.press("Escape");
    await waitFor(() => filterOf(page) === "key:keys");
    await waitFor(async () => (await rows(page).count()) === 2);

    await page.keyboard.press("j");
    await page.keyboard.press("w");
    await page
      .getByRole("tooltip")
      .getByText(/slot|keys|limit/i)
      .waitFor();
    await shot(page, "runs-why");
    await page.keyboard.press("x");
    await page.keyboard.press("j");
    await page.keyboard.press("X");
    await page.getByText("2 selected").waitFor();
    await shot(page, "runs-selected");
    await page.keyboard.press("c");
    await page.getByRole("dialog").getByText("Cancel 2 runs?").waitFor();
    await shot(page, "runs-confirm");
    await axeCheck(page);
    await page.keyboard.press("Enter");
    await page.getByText("2 cancelled").waitFor();
    await waitFor(async () => (await rows(page, "CANCELLED").count()) === 2);
  });

  test("replays what has ended, and says why a run failed", async () => {
    await world.client.publish("fail.wanted", { why: "snow" });
    const page = await browser.openPage(`${world.url}/runs?q=${encodeURIComponent("workflow:fail snow")}`);
    const row = rows(page, "FAILED").first();
    await row.waitFor();
    await row.hover();
    await page.getByRole("tooltip").getByText("no luck: snow").waitFor();
    await page.keyboard.press("j");
    await page.keyboard.press("r");
    await page.getByRole("dialog").getByRole("button", { name: "Replay 1 run" }).click();
    await page.getByText("1 replayed").waitFor();
    await waitFor(async () => (await rows(page, "FAILED").count()) === 2, { timeoutMs: 20_000 });
  });

  test("publishes the events of the examples at a click, where these are served", async () => {
    const demo = await startDashboardWorld({ workflows: [concurrencyDemo, perUserDemo, cancelDemo] });
    const page = await browser.openPage(`${demo.url}/runs`);
    await page.getByRole("button", { name: "Publish demo events" }).click();
    await rows(page, "RUNNING").first().waitFor();
    await page.locator(".runs-counters").getByText("All 28").waitFor({ timeout: 20_000 });
    await shot(page, "runs-demo");
  });

  test("keeps views by name", async () => {
    const page = await browser.openPage(`${world.url}/runs?q=status%3Afailed`);
    await page.getByRole("button", { name: "Views" }).click();
    await page.getByRole("textbox", { name: "Name of the view" }).fill("What failed");
    await page.keyboard.press("Enter");
    await shot(page, "runs-views");
    await page.reload();
    await page.getByRole("button", { name: "What failed" }).waitFor();
    await page.goto(`${world.url}/runs`);
    await page.getByRole("button", { name: "Views" }).click();
    await page.getByRole("link", { name: "What failed" }).click();
    await soon(() => filterOf(page)).toBe("status:failed");
  });

  test("cancels 5,000 runs that match, tells how far it is, and stays responsive", { timeout: 180_000 }, async () => {
    await world.client.publishMany(Array.from({ length: 5_000 }, () => ({ event: "hold.wanted", payload: { tenant: "many" } })));
    const page = await browser.openPage(`${world.url}/runs?q=key%3Amany`);
    await waitFor(async () => (await page.locator(".runs-counters").textContent())?.includes("4,999"), { timeoutMs: 60_000 });
    await rows(page).first().waitFor();
    await page.keyboard.press("j");
    await page.keyboard.press("x");
    await page.getByRole("button", { name: "Select all 5,000 matches" }).click();
    await page.keyboard.press("c");
    await page.getByRole("dialog").getByText("Cancel 5,000 runs?").waitFor();
    const ended = await measureFrames(page);
    const began = Date.now();
    await page.getByRole("dialog").getByRole("button", { name: "Cancel 5,000 runs" }).click();
    await page.getByRole("progressbar").waitFor();
    await waitFor(async () => Number(await page.getByRole("progressbar").getAttribute("aria-valuenow")) > 0, {
      timeoutMs: 60_000,
    });
    await shot(page, "runs-bulk");
    await page.getByText("5,000 cancelled").waitFor({ timeout: 120_000 });
    const frames = await ended();
    console.log(`5,000 runs cancelled in ${Date.now() - began} ms, ${framesText(frames)}`);
    expect(frames.cpuPerFrame).toBeLessThan(20);
    await waitFor(async () => (await rows(page, "CANCELLED").count()) > 10 && (await rows(page, "QUEUED").count()) === 0, {
      timeoutMs: 30_000,
    });
    const left = await world.client.runs.list({ key: "many", status: ["QUEUED", "RUNNING"] });
    expect(left.items).toEqual([]);
  });

  test("scrolls 100,000 runs smoothly, and comes back to where one was", { timeout: 120_000 }, async () => {
    const total = 100_000;
    let asked = 0;
    const url = await startDashboardOf(await longHistory(total), () => asked++);
    // The page of a run that is not there.
    const page = await browser.openPage(`${url}/runs`, { tolerate: [/404/] });
    await rows(page).first().waitFor();
    const height = await page.locator(".runs-scroller").evaluate((scroller) => scroller.scrollHeight);
    expect(height).toBe(total * 28);

    // As fast as a wheel is turned by an impatient hand (13,000 pixels a second), and as fast as the scroll bar is dragged,
    // where every frame shows other rows.
    for (const rowsPerFrame of [8, 40]) {
      const ended = await measureFrames(page);
      await page.locator(".runs-scroller").evaluate(async (scroller, rowsPerFrame) => {
        for (let frame = 0; frame < 150; frame++) {
          scroller.scrollTop += rowsPerFrame * 28;
          await new Promise((resolve) => requestAnimationFrame(resolve));
        }
      }, rowsPerFrame);
      const frames = await ended();
      console.log(`scrolled by ${rowsPerFrame} rows a frame, ${framesText(frames)}`);
      expect(frames.cpuPerFrame).toBeLessThan(rowsPerFrame === 8 ? 20 : 50);
    }
    await waitFor(async () => (await page.locator(".runs-row[data-missing]").count()) === 0);
    expect(await rows(page).count()).toBeLessThan(120);

    // A jump to the very end, and what is there.
    const before = asked;
    await page.locator(".runs-scroller").evaluate((scroller) => scroller.scrollTo(0, scroller.scrollHeight));
    await page.locator(`[data-id="run-${String(total - 1).padStart(6, "0")}"]`).waitFor({ timeout: 60_000 });
    console.log(`the end of ${total} runs: ${asked - before} requests`);
    await page.locator(".runs-scroller").evaluate((scroller) => scroller.scrollTo(0, 50_000 * 28));
    const middle = page.locator(`[data-id="run-050005"]`);
    await middle.waitFor();
    const heap = await page.evaluate(
      () => (performance as unknown as { memory: { usedJSHeapSize: number } }).memory.usedJSHeapSize,
    );
    console.log(`memory: ${(heap / 1e6).toFixed(0)} MB`);
    expect(heap).toBeLessThan(150e6);

    await page.evaluate(async () => await new Promise((resolve) => setTimeout(resolve, 300)));
    await middle.locator(".runs-cell-created").click();
    await waitFor(() => new URL(page.url()).pathname === "/runs/run-050005");
    await page.goBack();
    await middle.waitFor();
  });

  test("leaves what is read where it is while new runs arrive, and says how many", async () => {
    await world.client.publishMany(
      Array.from({ length: 300 }, (_, i) => ({ event: "user.created", payload: { user_id: `stay-${i}` } })),
    );
    const page = await browser.openPage(`${world.url}/runs?q=${encodeURIComponent("workflow:greet stay-")}`);
    await waitFor(async () => (await page.locator(".runs-counters").textContent())?.includes("All 300"), { timeoutMs: 30_000 });
    await page.locator(".runs-scroller").evaluate((scroller) => scroller.scrollTo(0, 100 * 28));
    const first = page.locator('.runs-row[aria-rowindex="112"]');
    await first.waitFor();
    const id = await first.getAttribute("data-id");
    for (let i = 0; i < 7; i++) await world.client.publish("user.created", { user_id: `stay-n${i}` });
    await page.getByRole("button", { name: "7 new" }).waitFor();
    expect(await page.locator('.runs-row[aria-rowindex="112"]').getAttribute("data-id")).toBe(id);
    await page.getByRole("button", { name: "7 new" }).click();
    await waitFor(async () => (await page.locator(".runs-scroller").evaluate((scroller) => scroller.scrollTop)) === 0);
    await waitFor(async () => (await page.locator(".runs-fresh").count()) === 0);
    expect((await world.client.runs.list({ workflow: "greet", text: "stay-", size: 1 })).items[0]?.id).toBe(
      await rows(page).first().getAttribute("data-id"),
    );
  });

  test.each(["dark", "light"] as const)("looks right in the %s theme at 1400 and 400 pixels", async (theme) => {
    await world.client.publishMany(
      Array.from({ length: 12 }, (_, i) => [
        { event: "hold.wanted", payload: { tenant: ["acme", "globex", "initech"][i % 3] } },
        { event: "user.created", payload: { user_id: `look-${theme}-${i}` } },
      ]).flat(),
    );
    await world.client.publish("fail.wanted", { why: "hail" });
    const page = await browser.openPage(`${world.url}/runs`, { theme });
    await rows(page).first().waitFor();
    await page
      .locator(".runs-counters")
      .getByText(/^Failed [1-9]/)
      .waitFor();
    await shot(page, `runs-${theme}`);
    await axeCheck(page);
    await page.setViewportSize({ width: 400, height: 800 });
    await shot(page, `runs-${theme}-400`);
    await axeCheck(page);
    await soon(() => page.evaluate(() => document.documentElement.scrollWidth)).toBe(400);
  });
});

/** A history of so many runs that have ended, `run-000000` being the newest: as files of that size are read, without having run them. */
async function longHistory(total: number): Promise<DirectProjector> {
  const projector = new DirectProjector(join(await temporaryFolder("history"), "history.sqlite"));
  const chunk = 1_000;
  for (let from = 0; from < total; from += chunk) {
    const facts = Array.from({ length: chunk }, (_, offset): Fact[] => {
      const run = `run-${String(total - 1 - from - offset).padStart(6, "0")}`;
      const at = Date.UTC(2026, 0, 1) + (from + offset) * 1_000;
      const failed = offset % 11 === 0;
      return [
        { k: "created", at, run, wf: "user", ver: "v1", phase: "active", keys: [`tenant-${offset % 31}`], input: { n: offset } },
        { k: "finished", at: at + 40, run, status: failed ? "FAILED" : "SUCCEEDED", ...(failed && { reason: "STEP_FAILED" }) },
      ];
    }).flat();
    const text = encodeBatch(
      1,
      undefined,
      facts.map((fact) => JSON.stringify(fact)),
    );
    const seq = from / chunk + 1;
    projector.batch({ partition: 0, previous: seq - 1, seq, facts, text });
    // Others of this process have something to do, too.
    await projector.settled();
  }
  await projector.request("flush", {});
  onCleanup(async () => await projector.close());
  return projector;
}

/** A dashboard whose engine knows a history and nothing else. `onList` is called for each page of runs. */
async function startDashboardOf(history: DirectProjector, onList: () => void): Promise<string> {
  const server = await startTestServer();
  const engine = await startFakeEngine(server.url);
  engine.serve({
    "health.get": () => unreadyHealth("starting", "Made up."),
    "run.count": async (query) => await history.request("count", query),
    "run.list": async (query) => {
      onList();
      const { items, next } = await history.list(query);
      return { items: items.map(({ view }) => view), ...(next !== undefined && { next }) };
    },
  });
  await engine.connection.flush();
  const logger = pino({ level: "silent" });
  const uiDir = process.env["SLUICE_TEST_UI_DIR"];
  const dashboard = await startDashboard({ servers: server.url, port: 0, uiDir, logger });
  onCleanup(async () => await dashboard.stop());
  return `http://127.0.0.1:${dashboard.port}`;
}

interface Frames {
  readonly count: number;
  readonly median: number;
  readonly p99: number;
  readonly longest: number;
  /** Of the page's main thread, in ms: what other processes on this machine do is not in it. */
  readonly cpuPerFrame: number;
}

/** From now on, notes how long each frame takes. Returns how to end it. */
async function measureFrames(page: Page): Promise<() => Promise<Frames>> {
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable", { timeDomain: "threadTicks" });
  const busy = async (): Promise<number> => {
    const { metrics } = await session.send("Performance.getMetrics");
    return 1_000 * (metrics.find(({ name }) => name === "TaskDuration")?.value ?? 0);
  };
  await page.evaluate(() => {
    const noted: number[] = [];
    Object.assign(globalThis, { frames: noted });
    let last = performance.now();
    const note = (now: number): void => {
      noted.push(now - last);
      last = now;
      requestAnimationFrame(note);
    };
    requestAnimationFrame(note);
  });
  const before = await busy();
  return async () => {
    const frames = await page.evaluate(() => [...(globalThis as unknown as { frames: number[] }).frames]);
    const cpu = (await busy()) - before;
    await session.detach();
    const sorted = frames.sort((a, b) => a - b);
    const at = (share: number): number => sorted[Math.floor((sorted.length - 1) * share)] ?? 0;
    return { count: sorted.length, median: at(0.5), p99: at(0.99), longest: at(1), cpuPerFrame: cpu / sorted.length };
  };
}

function framesText({ count, median, p99, longest, cpuPerFrame }: Frames): string {
  const ms = (value: number): string => `${value.toFixed(1)} ms`;
  return `${count} frames: median ${ms(median)}, p99 ${ms(p99)}, longest ${ms(longest)}, ${ms(cpuPerFrame)} of the main thread each`;
}
