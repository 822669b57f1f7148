/** What is around every page: navigation, health, theme, keys, the connection; a server that is restarted; a page that may only show. */
import { setTimeout as sleep } from "node:timers/promises";
import { defineWorkflow, Strategy } from "sluice";
import { beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { waitFor } from "../support/wait.ts";
import { axeCheck } from "./support/axe.ts";
import { noBrowser, openBrowser, type TestBrowser } from "./support/browser.ts";
import { shot } from "./support/shot.ts";
import { soon } from "./support/soon.ts";
import { type DashboardWorld, startDashboardWorld } from "./support/world.ts";

const hold = defineWorkflow({
  name: "hold",
  on: ["hold.wanted"],
  input: z.object({ tenant: z.string() }),
  concurrency: { name: "tenant", key: (ctx) => ctx.input.tenant, maxRuns: 1, strategy: Strategy.GROUP_ROUND_ROBIN },
}).step("hold", async (ctx) => {
  await sleep(3_600_000, undefined, { signal: ctx.signal });
});

/** What a page says of a server that is down, or that refuses an old token. */
const SERVER_DOWN = [/net::ERR_/, /status of (403|502|503)/, /EventSource/];

describe.skipIf(noBrowser)("the shell of the dashboard", () => {
  let world: DashboardWorld;
  let browser: TestBrowser;
  beforeAll(async () => {
    world = await startDashboardWorld({ workflows: [hold] });
    browser = await openBrowser();
  });

  test("reaches every page by key and by link, each with its title", async () => {
    const page = await browser.openPage(world.url);
    for (const [key, name] of [
      ["g", "Groups"],
      ["w", "Workflows"],
      ["o", "Workers"],
      ["e", "Events"],
      ["i", "Inspect"],
      ["r", "Runs"],
    ] as const) {
      await page.keyboard.press("g");
      await page.keyboard.press(key);
      await waitFor(() => new URL(page.url()).pathname === `/${name.toLowerCase()}`);
      await waitFor(async () => (await page.title()) === `${name} · Sluice`);
      await soon(() => page.locator("nav a[aria-current=page]").textContent()).toBe(name);
    }
    await page.getByRole("link", { name: "Workers", exact: true }).click();
    await waitFor(async () => (await page.title()) === "Workers · Sluice");
    await page.goBack();
    await waitFor(async () => (await page.title()) === "Runs · Sluice");
    await page.keyboard.press("?");
    await page.getByRole("dialog").getByText("go to Groups").waitFor();
    await shot(page, "shell-keys");
    await axeCheck(page);
    await page.keyboard.press("Escape");
    await waitFor(async () => (await page.getByRole("dialog").count()) === 0);
    await page.goto(`${world.url}/no/such/page`);
    await page.getByText("There is no such page").waitFor();
  });

  test("says on every page how the whole is, with a link to what holds it back", async () => {
    const page = await browser.openPage(`${world.url}/events`);
    const line = page.getByRole("region", { name: "Health" });
    await line.getByText("live", { exact: true }).waitFor();
    await world.client.publish("hold.wanted", { tenant: "acme" });
    await world.client.publish("hold.wanted", { tenant: "acme" });
    await line.getByRole("link", { name: "acme" }).waitFor({ timeout: 20_000 });
    await shot(page, "shell-held-back");
    await line.getByRole("link", { name: "acme" }).click();
    await waitFor(() => new URL(page.url()).pathname === "/groups/tenant/acme");
  });

  test("keeps the theme that was chosen, and follows the system's otherwise", async () => {
    const page = await browser.openPage(`${world.url}/runs`, { theme: "light" });
    const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await background();
    await page.emulateMedia({ colorScheme: "dark" });
    const dark = await background();
    expect(dark).not.toBe(light);
    await page.getByRole("button", { name: "Theme: system" }).click();
    await page.getByRole("button", { name: "Theme: dark" }).click();
    await page.getByRole("button", { name: "Theme: light" }).waitFor();
    await soon(() => background()).toBe(light);
    await page.reload();
    await page.getByRole("button", { name: "Theme: light" }).waitFor();
    await soon(() => background()).toBe(light);
    await page.getByRole("button", { name: "Theme: light" }).click();
    await waitFor(async () => (await background()) === dark);
  });

  test("goes on by itself after the server was restarted, where it was, and may write again", async () => {
    await world.client.publish("hold.wanted", { tenant: "restart" });
    const page = await browser.openPage(`${world.url}/runs?q=key%3Arestart`, { tolerate: SERVER_DOWN });
    await page.locator('.runs-row[data-status="RUNNING"]').waitFor();
    await world.stopDashboard();
    await page.getByText("The server does not answer.").waitFor({ timeout: 30_000 });
    await shot(page, "shell-gone");
    expect(await page.locator('.runs-row[data-status="RUNNING"]').count()).toBe(1);
    // What happens meanwhile is there afterwards.
    await world.client.publish("hold.wanted", { tenant: "restart" });
    await world.startDashboard();
    await page.getByRole("region", { name: "Health" }).getByText("live", { exact: true }).waitFor({ timeout: 30_000 });
    await page.locator('.runs-row[data-status="QUEUED"]').waitFor();
    await soon(() => new URL(page.url()).search).toBe("?q=key%3Arestart");
    await page.keyboard.press("j");
    await page.keyboard.press("c");
    await page.getByRole("dialog").getByRole("button", { name: "Cancel 1 run" }).click();
    await page.getByText("1 cancelled").waitFor();
    await page.locator('.runs-row[data-status="CANCELLED"]').waitFor();
  });

  test("is silent while the tab is hidden, and goes on after", async () => {
    const page = await browser.openPage(`${world.url}/runs?q=key%3Ahidden`);
    await page.getByText("No run matches").waitFor();
    const hide = async (hidden: boolean) =>
      await page.evaluate((hidden) => {
        Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
        document.dispatchEvent(new Event("visibilitychange"));
      }, hidden);
    await hide(true);
    await page.getByText("paused", { exact: true }).waitFor();
    await world.client.publish("hold.wanted", { tenant: "hidden" });
    await waitFor(async () => (await world.client.runs.list({ key: "hidden", limit: "tenant" })).items.length === 1);
    expect(await page.locator(".runs-row[data-id]").count()).toBe(0);
    await hide(false);
    await page.locator(".runs-row[data-id]").waitFor();
  });

  test("offers nothing that changes something where it may only show", async () => {
    await world.client.publish("hold.wanted", { tenant: "shown" });
    const url = await world.addDashboard({ readOnly: true });
    const page = await browser.openPage(`${url}/runs?q=key%3Ashown`);
    await page.getByText("read-only", { exact: true }).waitFor();
    await page.locator(".runs-row[data-id]").waitFor();
    await page.keyboard.press("j");
    await page.keyboard.press("x");
    await page.getByText("1 selected").waitFor();
    await shot(page, "shell-read-only");
    expect(
      await page
        .getByRole("button", { name: /^(Cancel|Replay)/ })
        .filter({ hasNotText: "Cancelled" })
        .count(),
    ).toBe(0);
    await page.keyboard.press("c");
    await soon(() => page.getByRole("dialog").count()).toBe(0);
    await page.keyboard.press("?");
    await soon(() => page.getByRole("dialog").getByText("cancel what is selected").count()).toBe(0);
  });

  test.each(["dark", "light"] as const)("fits 400 pixels in the %s theme, with the pages under the thumb", async (theme) => {
    const page = await browser.openPage(`${world.url}/workers`, { width: 400, height: 800, theme });
    await page.getByRole("region", { name: "Health" }).getByText("live", { exact: true }).waitFor();
    const bar = await page.getByRole("navigation", { name: "Pages" }).boundingBox();
    expect(bar).toMatchObject({ x: 0, width: 400 });
    expect(bar === null ? 0 : bar.y + bar.height).toBe(800);
    await soon(() => page.evaluate(() => document.documentElement.scrollWidth)).toBe(400);
    await shot(page, `shell-400-${theme}`);
    await axeCheck(page);
  });
});
