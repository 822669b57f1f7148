/** The page of a run, over a real engine, worker and server: its life, live and in the past, in all of its views. */
import type { Page } from "playwright-core";
import { beforeAll, describe, expect, test } from "vitest";
import type { RunRecord } from "../../src/protocol/record.ts";
import type { Operation, Operations } from "../../src/protocol/view.ts";
import { waitFor } from "../support/wait.ts";
import { axeCheck } from "./support/axe.ts";
import { noBrowser, openBrowser, type TestBrowser } from "./support/browser.ts";
import { gates, report, RUN_WORKFLOWS } from "./support/run-workflows.ts";
import { shot } from "./support/shot.ts";
import { type DashboardWorld, startDashboardWorld } from "./support/world.ts";

describe.skipIf(noBrowser)("the page of a run", () => {
  let world: DashboardWorld;
  let browser: TestBrowser;
  beforeAll(async () => {
    world = await startDashboardWorld({ workflows: RUN_WORKFLOWS });
    browser = await openBrowser();
  });

  /** As the page asks. */
  async function read<K extends Operation>(operation: K, request: Operations[K]["request"]): Promise<Operations[K]["reply"]> {
    const response = await fetch(`${world.url}/api/${operation}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(request),
    });
    if (!response.ok) throw new Error(`${operation}: ${response.status} ${await response.text()}`);
    return (await response.json()) as Operations[K]["reply"];
  }

  async function ended(id: string): Promise<RunRecord> {
    await waitFor(async () => (await read("run.get", { id })).finishedAt !== undefined, { timeoutMs: 20_000 });
    return await read("run.record", { id });
  }

  const open = async (id: string, query = "", options: Parameters<TestBrowser["openPage"]>[1] = {}): Promise<Page> =>
    await browser.openPage(`${world.url}/runs/${id}${query}`, options);

  test("screens", async () => {
    const run = await world.client.run(report, { tenant: "acme", password: "hunter2", question: "How are we?" });
    await ended(run.id);
    const page = await open(run.id, "?tab=timeline");
    await page.locator(".timeline-bar").first().waitFor();
    await page
      .locator("[data-edge]")
      .first()
      .waitFor({ timeout: 8_000 })
      .catch(() => undefined);
    for (const tab of ["timeline", "sequence", "log", "state", "chart"]) {
      await page.keyboard.press(String(["chart", "timeline", "sequence", "log", "state"].indexOf(tab) + 1));
      await new Promise((resolve) => setTimeout(resolve, 600));
      await shot(page, `run-${tab}-dark`);
    }
    await page.keyboard.press("2");
    await page.keyboard.press("Home");
    for (let i = 0; i < 8; i++) await page.keyboard.press("ArrowRight");
    await new Promise((resolve) => setTimeout(resolve, 600));
    await shot(page, "run-past-dark");
    await page.emulateMedia({ colorScheme: "light" });
    await shot(page, "run-past-light");
    await page.setViewportSize({ width: 400, height: 850 });
    await new Promise((resolve) => setTimeout(resolve, 600));
    await shot(page, "run-timeline-light-400");
    await page.emulateMedia({ colorScheme: "dark" });
    for (const tab of ["chart", "sequence", "log", "state"]) {
      await page.keyboard.press(String(["chart", "timeline", "sequence", "log", "state"].indexOf(tab) + 1));
      await new Promise((resolve) => setTimeout(resolve, 600));
      await shot(page, `run-${tab}-dark-400`);
    }
    expect(page.url()).toContain("at=8");
    await axeCheck(page);
    gates.open("x");
  });
});
