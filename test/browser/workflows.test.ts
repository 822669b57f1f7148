/** The pages of workflows, over a real engine and worker: what is registered, where its runs are, and how to start one. */
import type { Page } from "playwright-core";
import { defineWorkflow, Strategy } from "sluice";
import { beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { waitFor } from "../support/wait.ts";
import { axeCheck } from "./support/axe.ts";
import { noBrowser, openBrowser, type TestBrowser } from "./support/browser.ts";
import { Gates } from "./support/gates.ts";
import { shot } from "./support/shot.ts";
import { soon } from "./support/soon.ts";
import { type DashboardWorld, startDashboardWorld } from "./support/world.ts";

const gates = new Gates();

const order = defineWorkflow({
  name: "order",
  on: ["order.placed"],
  input: z.object({ gate: z.string(), fail: z.boolean().optional() }),
  concurrency: { name: "orders", key: "'all'", maxRuns: 2, strategy: Strategy.GROUP_ROUND_ROBIN },
})
  .step("reserve", async (ctx) => {
    if (ctx.input.fail === true) throw new Error("sold out");
    await gates.pass(ctx.input.gate, ctx.signal);
  })
  .step("charge", { after: ["reserve"], timeout: "30s" }, () => 1)
  .step("ship", { after: ["charge"], retries: 2 }, () => 1);

const report = defineWorkflow({
  name: "report",
  on: ["report.wanted"],
  cron: { expression: "15 3 * * *", timezone: "Europe/Berlin", input: { title: "Every night" } },
  input: z.object({
    title: z.string().min(1).describe("What stands on top"),
    format: z.enum(["pdf", "html"]).default("pdf"),
    pages: z.int().min(1).max(200).optional(),
    draft: z.boolean().default(false),
    recipients: z.array(z.email().refine((text) => !text.endsWith("@blocked.test"), "this address is blocked")).default([]),
    range: z.object({ from: z.string(), to: z.string().optional() }).optional(),
  }),
}).step("write", (ctx) => ctx.input);

const anything = defineWorkflow({ name: "anything" }).step("echo", (ctx) => ctx.input as never);

describe.skipIf(noBrowser)("the pages of workflows", () => {
  let world: DashboardWorld;
  let browser: TestBrowser;
  beforeAll(async () => {
    world = await startDashboardWorld({ workflows: [order, report, anything] });
    browser = await openBrowser();
  });

  const row = (page: Page, name: string) => page.locator(`.flows-row[data-workflow="${name}"]`);
  const counts = async (page: Page, within: string): Promise<Record<string, string>> =>
    Object.fromEntries(
      await page
        .locator(`${within} .flows-counts a`)
        .evaluateAll((links) => links.map((link) => [link.getAttribute("data-status"), link.querySelector("b")?.textContent])),
    ) as Record<string, string>;
  const field = (page: Page, path: string) => page.locator(`[data-field="${path}"]`);
  const started = async (page: Page): Promise<string> => {
    const card = page.locator("[data-started]");
    await card.waitFor();
    return (await card.getAttribute("data-started")) ?? "";
  };

  test("list steps, triggers, limits and counts, live", async () => {
    const page = await browser.openPage(`${world.url}/workflows`);
    await row(page, "order").waitFor();
    await row(page, "order").getByRole("link", { name: "order.placed" }).waitFor();
    await row(page, "order").getByRole("img", { name: "reserve, charge after reserve, ship after charge" }).waitFor();
    await row(page, "order").getByText("round robin").waitFor();
    await row(page, "anything").getByText("calls only").waitFor();
    const next = row(page, "report").locator("time.flows-cron-time");
    await soon(() => next.getAttribute("title")).toMatch(/^\d{4}-\d\d-\d\d 0[12]:15:00 UTC$/);
    expect(Date.parse((await next.getAttribute("datetime")) ?? "")).toBeGreaterThan(Date.now());

    for (const gate of ["l1", "l1", "l1"]) await world.client.publish("order.placed", { gate });
    const within = `.flows-row[data-workflow="order"]`;
    await waitFor(async () => (await counts(page, within))["RUNNING"] === "2" && (await counts(page, within))["QUEUED"] === "1");
    gates.open("l1");
    await waitFor(async () => (await counts(page, within))["SUCCEEDED"] === "3");
    await axeCheck(page);
    await shot(page, "workflows-dark");
    await page.keyboard.press("j");
    await page.keyboard.press("j");
    await page.keyboard.press("Enter");
    await waitFor(() => new URL(page.url()).pathname === "/workflows/order");
  });

  test("show how many runs are in each state of the machine, and lead to them", async () => {
    for (let i = 0; i < 4; i++) await world.client.run("order", { gate: "p1" });
    const failing = await world.client.run("order", { gate: "", fail: true });
    const page = await browser.openPage(`${world.url}/workflows/order`);
    const badge = async (id: string): Promise<string> =>
      (await page.locator(`[data-badge="${id}"]`).first().textContent({ timeout: 500 }))?.trim() ?? "";
    await page.locator(".chart[data-ready]").waitFor();
    await waitFor(async () => /^2\b/.test(await badge("run.running.reserve")), { timeoutMs: 15_000 });
    // 2 at the first step, though the regions of all steps are active.
    await soon(() => page.locator(`[data-badge="run.running.charge"]`).count()).toBe(0);
    await waitFor(async () => /^3\b/.test(await badge("run.waiting")));
    await axeCheck(page);
    await shot(page, "workflow-dark");

    await page.locator(`[data-badge="run.running.reserve"]`).click();
    await waitFor(() => new URL(page.url()).pathname === "/runs");
    await soon(() => new URL(page.url()).searchParams.get("q")).toBe("workflow:order state:run.running.reserve.attempt");
    await waitFor(async () => (await page.locator(".runs-row[data-id]").count()) === 2);

    await page.goBack();
    gates.open("p1");
    await waitFor(async () => (await world.client.runs.get(failing.id)).status === "FAILED");
    await waitFor(async () => /^1\b/.test(await badge("run.failed")));
    await page.locator(`[data-badge="run.failed"]`).click();
    await waitFor(() => new URL(page.url()).searchParams.get("q") === "workflow:order status:FAILED");
    await page.locator(`.runs-row[data-id="${failing.id}"]`).waitFor();
  });

  test("start a run from a form that is made from the schema of the input", async () => {
    const page = await browser.openPage(`${world.url}/workflows/report`);
    const form = page.getByRole("form", { name: "Start a run" });
    await form.getByRole("button", { name: "Start run" }).click();
    await field(page, "title").getByRole("alert").getByText("is required").waitFor();
    expect(await page.locator("[data-started]").count()).toBe(0);

    await field(page, "title").getByRole("textbox").fill("January");
    await field(page, "title").getByText("What stands on top").waitFor();
    await field(page, "format").getByRole("combobox").selectOption("html");
    await field(page, "pages").getByRole("textbox").fill("900");
    await field(page, "draft").getByRole("combobox").selectOption("true");
    await field(page, "recipients").getByRole("button", { name: "Add" }).click();
    await field(page, "recipients.0").getByRole("textbox").fill("ada@example.com");
    await field(page, "range").getByRole("button", { name: "Fill in" }).click();
    await field(page, "range.from").getByRole("textbox").fill("2026-01-01");
    await form.getByRole("button", { name: "Start run" }).click();
    await field(page, "pages").getByRole("alert").getByText("at most 200").waitFor();
    await field(page, "pages").getByRole("textbox").fill("12");
    await form.getByText("Priority, metadata, time").click();
    await field(page, "$priority").getByRole("textbox").fill("7");
    await field(page, "$metadata").getByRole("textbox").fill('{"team": "blue"}');
    await axeCheck(page, "#start");
    await shot(page, "workflow-form-dark");
    await form.getByRole("button", { name: "Start run" }).click();

    const run = await world.client.runs.get(await started(page));
    expect(run.input).toEqual({
      title: "January",
      format: "html",
      pages: 12,
      draft: true,
      recipients: ["ada@example.com"],
      range: { from: "2026-01-01" },
    });
    expect(run.priority).toBe(7);
    expect(run.metadata).toEqual({ team: "blue" });
    await page.locator("[data-started][data-status=SUCCEEDED]").waitFor();
    await page.getByRole("button", { name: "Start another" }).click();
    await form.getByRole("button", { name: "Start run" }).waitFor();
  });

  test("show at its field what the workflow's own schema says against an input", async () => {
    const page = await browser.openPage(`${world.url}/workflows/report`);
    const form = page.getByRole("form", { name: "Start a run" });
    await field(page, "title").getByRole("textbox").fill("February");
    await field(page, "recipients").getByRole("button", { name: "Add" }).click();
    await field(page, "recipients.0").getByRole("textbox").fill("eve@blocked.test");
    await form.getByRole("button", { name: "Start run" }).click();
    const run = await started(page);
    await field(page, "recipients.0").getByRole("alert").getByText("this address is blocked").waitFor();
    await page.getByText(/The workflow refuses this input/).waitFor();
    expect((await world.client.runs.get(run)).reason).toBe("INPUT_INVALID");
    // Mended, it starts.
    await field(page, "recipients.0").getByRole("textbox").fill("eve@example.com");
    await page.getByRole("button", { name: "Start another" }).click();
    await form.getByRole("button", { name: "Start run" }).click();
    await page.locator("[data-started][data-status=SUCCEEDED]").waitFor();
  });

  test("take any JSON, now or later", async () => {
    const page = await browser.openPage(`${world.url}/workflows/anything`);
    const text = page.getByRole("textbox", { name: "Input as JSON" });
    await text.fill('{"a": [1, 2}');
    await page.getByText("not JSON: line 1, column 12").waitFor();
    await page.getByRole("button", { name: "Start run" }).click();
    await page.getByText("One field needs another look.").waitFor();
    expect(await page.locator("[data-started]").count()).toBe(0);
    await text.fill('{"a": [1, 2]}');
    await page.getByText("Priority, metadata, time").click();
    await field(page, "$when").getByRole("combobox").selectOption("delay");
    await page.getByRole("textbox", { name: "Delay" }).fill("soon");
    await page.getByRole("button", { name: "Start run" }).click();
    await field(page, "$when").getByRole("alert").waitFor();
    await page.getByRole("textbox", { name: "Delay" }).fill("1h30m");
    await page.getByRole("button", { name: "Start run" }).click();
    const run = await world.client.runs.get(await started(page));
    expect(run.input).toEqual({ a: [1, 2] });
    expect(Date.parse(run.scheduledAt ?? "") - Date.parse(run.createdAt)).toBeGreaterThan(5_300_000);
    await page.locator("[data-started] a").click();
    await waitFor(() => new URL(page.url()).pathname === `/runs/${run.id}`);
  });

  test("are readable in dark and light, wide and narrow", async () => {
    for (const theme of ["dark", "light"] as const)
      for (const width of [1400, 400]) {
        const page = await browser.openPage(`${world.url}/workflows/report`, { theme, width });
        await page.locator(".chart[data-ready]").waitFor();
        await axeCheck(page);
        await soon(() => page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
        await shot(page, `workflow-${theme}-${width}`);
        await page.goto(`${world.url}/workflows`);
        await row(page, "order").waitFor();
        await axeCheck(page);
        await soon(() => page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
      }
  });
});
