/** The page of events, over a real engine: what arrived, what it started, what was rejected, and publishing from the page. */
import { defineWorkflow } from "sluice";
import { connect as connectNats } from "@nats-io/transport-node";
import { beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { onCleanup } from "../support/cleanup.ts";
import { waitFor } from "../support/wait.ts";
import { axeCheck } from "./support/axe.ts";
import { noBrowser, openBrowser, type TestBrowser } from "./support/browser.ts";
import { shot } from "./support/shot.ts";
import { soon } from "./support/soon.ts";
import { type DashboardWorld, startDashboardWorld } from "./support/world.ts";

const welcome = defineWorkflow({
  name: "welcome",
  on: ["user.created"],
  input: z.object({ user_id: z.string() }).loose(),
}).step("greet", () => "hello");

describe.skipIf(noBrowser)("the page of events", () => {
  let world: DashboardWorld;
  let browser: TestBrowser;
  beforeAll(async () => {
    world = await startDashboardWorld({ workflows: [welcome] });
    browser = await openBrowser();
  });

  test("says what to type while there are none, then lists what arrives and what it started", async () => {
    const page = await browser.openPage(`${world.url}/events`);
    await page.getByText("No event has arrived").waitFor();
    await page.getByText(/nats .*pub sluice\.events\./).waitFor();
    await axeCheck(page);
    await world.client.publish("user.created", { user_id: "ada", note: "<script>alert(1)</script>" });
    const row = page.locator(".events-row").first();
    await row.getByText("user.created").waitFor();
    const link = row.locator(".events-runs a");
    await link.waitFor();
    const [run] = (await world.client.runs.list({ workflow: "welcome" })).items;
    await soon(() => link.getAttribute("href")).toBe(`/runs/${run?.id}`);
    await soon(() => row.locator(".events-preview").textContent()).toContain('"user_id":"ada"');
    await row.getByRole("button", { name: "user.created" }).click();
    const detail = page.getByRole("complementary", { name: /Event/ });
    await detail.getByText("It started a run").waitFor();
    await detail.getByText('"<script>alert(1)</script>"').waitFor();
    await axeCheck(page);
    await shot(page, "events-dark");
    await page.keyboard.press("Escape");
    await detail.waitFor({ state: "detached" });
  });

  test("filters by name, in the address", async () => {
    await world.client.publishMany([
      { event: "bell.rung", payload: { n: 1 } },
      { event: "user.created", payload: { user_id: "eve" } },
    ]);
    const page = await browser.openPage(`${world.url}/events`);
    await page.locator(".events-row").first().waitFor();
    await page.keyboard.press("/");
    await page.keyboard.type("bell.rung");
    await waitFor(() => new URL(page.url()).searchParams.get("name") === "bell.rung");
    await waitFor(async () => (await page.locator(".events-row").count()) === 1);
    await page.locator(".events-row").getByText("nothing").waitFor();
    await page.getByRole("searchbox").fill("never.happened");
    await page.getByText("No event “never.happened” is stored").waitFor();
  });

  test("publishes an event, and says what is wrong with one", async () => {
    const page = await browser.openPage(`${world.url}/events`);
    await page.getByRole("button", { name: "Publish an event" }).first().click();
    const form = page.getByRole("form", { name: "Publish an event" });
    const publish = form.getByRole("button", { name: "Publish" });
    await form.getByLabel("Name").fill("user.*");
    await publish.click();
    await form
      .getByRole("alert")
      .getByText(/without spaces, \* and >/)
      .waitFor();
    await form.getByLabel("Name").fill("user.created");
    await form.getByRole("textbox", { name: "Payload as JSON" }).fill('{"user_id": ');
    await publish.click();
    await form.getByText("The payload is not JSON.").waitFor();
    await form.getByRole("textbox", { name: "Payload as JSON" }).fill('{"user_id": "grace"}');
    await form.getByText("Metadata, priority").click();
    await form.getByRole("textbox", { name: "Metadata as JSON" }).fill('{"team": "blue"}');
    await form.getByLabel("Priority").fill("3");
    await axeCheck(page);
    await shot(page, "events-publish-dark");
    await form.getByLabel("Priority").press("Enter");
    await page.getByText("Published user.created").waitFor();
    const run = await waitFor(async () =>
      (await world.client.runs.list({ workflow: "welcome" })).items.find(
        (one) => (one.input as { user_id?: string } | null)?.user_id === "grace",
      ),
    );
    expect(run).toMatchObject({ priority: 3, metadata: { team: "blue" } });
    await page.locator(".events-row").filter({ hasText: "grace" }).waitFor();
  });

  test("lists what was rejected, with the reason and how it begins", async () => {
    const page = await browser.openPage(`${world.url}/events?tab=rejected`);
    await page.getByText("Nothing was rejected").waitFor();
    const nats = await connectNats({ servers: world.natsUrl });
    onCleanup(async () => await nats.close());
    nats.publish("sluice.events.user.created", "this is not JSON");
    await nats.flush();
    const row = page.locator(".events-rejected");
    await row.locator(".events-preview").getByText("this is not JSON").waitFor();
    await row.getByRole("button", { name: "events.user.created" }).click();
    await page.locator(".events-raw").getByText("this is not JSON").waitFor();
    await soon(() => row.locator(".events-reason").textContent()).toMatch(/JSON/);
    await axeCheck(page);
    await shot(page, "events-rejected-dark");
  });

  test("is readable in light and narrow", async () => {
    const page = await browser.openPage(`${world.url}/events`, { theme: "light", width: 400 });
    await page.locator(".events-row").first().waitFor();
    await axeCheck(page);
    await soon(() => page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(400);
    await shot(page, "events-light-400");
  });
});
