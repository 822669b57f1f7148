/** The page of workers, over real ones: what they do, drained, and when they are gone. */
import { pino } from "pino";
import { defineWorkflow } from "sluice";
import { beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { startWorker } from "../../src/worker/start-worker.ts";
import { onCleanup } from "../support/cleanup.ts";
import { waitFor } from "../support/wait.ts";
import { axeCheck } from "./support/axe.ts";
import { noBrowser, openBrowser, type TestBrowser } from "./support/browser.ts";
import { Gates } from "./support/gates.ts";
import { shot } from "./support/shot.ts";
import { soon } from "./support/soon.ts";
import { type DashboardWorld, startDashboardWorld } from "./support/world.ts";

const gates = new Gates();
const dig = defineWorkflow({ name: "dig", input: z.object({ gate: z.string() }) }).step("hole", async (ctx) => {
  await gates.pass(ctx.input.gate, ctx.signal);
});

describe.skipIf(noBrowser)("the page of workers", () => {
  let world: DashboardWorld;
  let browser: TestBrowser;
  beforeAll(async () => {
    world = await startDashboardWorld();
    browser = await openBrowser();
  });

  const work = async (name: string): Promise<{ readonly id: string }> => {
    const logger = pino({ level: "silent" });
    const worker = await startWorker({ servers: world.natsUrl, logger, name, workflows: [dig], slots: 4, drainTimeout: 5_000 });
    onCleanup(async () => await worker.stop());
    return worker;
  };

  test("says how to start one while there is none", async () => {
    const page = await browser.openPage(`${world.url}/workers`);
    await page.getByText("No worker is there").waitFor();
    await page.getByText(/sluice worker .*--nats nats:\/\//).waitFor();
    await axeCheck(page);
  });

  test("shows slots, steps and what is executed, and drains a worker once one is sure", async () => {
    const page = await browser.openPage(`${world.url}/workers`);
    await work("shovel");
    const row = page.locator(".workers-row").filter({ hasText: "shovel" });
    await row.getByText("0/4").waitFor();
    const run = await world.client.run("dig", { gate: "one" });
    await row.getByText("1/4").waitFor();
    await row.getByRole("button", { name: /1 step of 1 workflow/ }).click();
    await row.locator(`.workers-runs a[href="/runs/${run.id}"]`).waitFor();
    await axeCheck(page);
    await shot(page, "workers-dark");

    await row.getByRole("button", { name: "Drain" }).click();
    await page.getByRole("dialog", { name: "Drain shovel?" }).getByRole("button", { name: "Not now" }).click();
    expect(await row.getAttribute("data-mode")).toBe("running");
    await row.getByRole("button", { name: "Drain" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Drain it" }).click();
    await waitFor(async () => (await row.getAttribute("data-mode")) === "draining");
    // What comes now is not for it.
    const later = await world.client.run("dig", { gate: "one" });
    expect((await world.client.runs.get(later.id)).steps["hole"]?.worker).toBeUndefined();
    gates.open("one");
    await waitFor(async () => (await world.client.runs.get(run.id)).status === "SUCCEEDED");
    await waitFor(
      async () => (await page.locator(".workers-row[data-mode=running], .workers-row[data-mode=draining]").count()) === 0,
    );

    await work("spade");
    await waitFor(async () => (await world.client.runs.get(later.id)).status === "SUCCEEDED");
    await page.locator(".workers-row").filter({ hasText: "spade" }).waitFor();
  });

  test("is readable in light and narrow, and offers nothing in read-only mode", async () => {
    await work("rake");
    const url = await world.addDashboard({ readOnly: true });
    const page = await browser.openPage(`${url}/workers`, { theme: "light", width: 400 });
    const row = page.locator(".workers-row").filter({ hasText: "rake" });
    await row.waitFor();
    await axeCheck(page);
    await soon(() => row.getByRole("button", { name: "Drain" }).count()).toBe(0);
    await soon(() => page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(400);
    await shot(page, "workers-light-400");
  });
});
