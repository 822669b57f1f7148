/** The pages of groups, over a real engine and worker: slots and lines as runs come and go, and what one can do about them. */
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
const input = z.object({ tenant: z.string(), gate: z.string() });

/** Two at once per tenant; a run ends when its gate is opened. */
const pack = defineWorkflow({
  name: "pack",
  input,
  concurrency: { name: "tenant", key: "input.tenant", maxRuns: 2, strategy: Strategy.GROUP_ROUND_ROBIN },
}).step("box", async (ctx) => await gates.pass(ctx.input.gate, ctx.signal));

const reply = defineWorkflow({
  name: "reply",
  input,
  concurrency: { name: "chat", key: "input.tenant", maxRuns: 1, strategy: Strategy.CANCEL_IN_PROGRESS },
}).step("write", async (ctx) => await gates.pass(ctx.input.gate, ctx.signal));

/** Does not stop when it is told to. */
const stubborn = defineWorkflow({
  name: "stubborn",
  input,
  concurrency: { name: "stubborn", key: "input.tenant", maxRuns: 1, strategy: Strategy.CANCEL_IN_PROGRESS },
  grace: "60s",
}).step("go", async (ctx) => await gates.pass(ctx.input.gate, new AbortController().signal));

const wide = defineWorkflow({
  name: "wide",
  input,
  concurrency: { name: "wide", key: "input.tenant", maxRuns: 40, strategy: Strategy.GROUP_ROUND_ROBIN },
}).step("go", async (ctx) => await gates.pass(ctx.input.gate, ctx.signal));

describe.skipIf(noBrowser)("the pages of groups", () => {
  let world: DashboardWorld;
  let browser: TestBrowser;
  beforeAll(async () => {
    world = await startDashboardWorld({ workflows: [pack, reply, stubborn, wide] });
    browser = await openBrowser();
  });

  const start = async (workflow: { readonly name: string }, tenant: string, gate: string, priority = 0): Promise<string> =>
    (await world.client.run(workflow.name, { tenant, gate }, { priority })).id;
  const row = (page: Page, limit: string, key: string) => page.locator(`.groups-row[data-group="${limit} ${key}"]`);
  const runsOf = async (page: Page, within: string): Promise<(string | null)[]> =>
    await page.locator(within).evaluateAll((marks) => marks.map((mark) => mark.getAttribute("data-run")));
  const maxRunsOf = async (limit: string, key: string) => (await world.client.groups.get({ limit, key })).maxRuns;

  test("says what to type while there are none", async () => {
    const page = await browser.openPage(`${world.url}/groups`);
    await page.getByText("No live groups").waitFor();
    await page.getByText(/nats .*pub sluice\.events\./).waitFor();
    await axeCheck(page);
    await shot(page, "groups-empty");
  });

  test("show who has the slots and who waits, in order, as runs come and go", async () => {
    const page = await browser.openPage(`${world.url}/groups`);
    const runs: string[] = [];
    for (const gate of ["a1", "a2", "a3", "a4"]) runs.push(await start(pack, "acme", gate));
    const acme = row(page, "tenant", "acme");
    const active = `.groups-row[data-group="tenant acme"] [data-mark=active]`;
    const waiting = `.groups-row[data-group="tenant acme"] [data-mark=waiting]`;
    await waitFor(async () => (await runsOf(page, waiting)).length === 2);
    await soon(() => runsOf(page, active)).toEqual(runs.slice(0, 2));
    await soon(() => runsOf(page, waiting)).toEqual(runs.slice(2));
    await acme.getByText("2/2").waitFor();
    await soon(() => acme.locator(".groups-cell-oldest").textContent()).toMatch(/^\d+ s$/);

    await acme.locator("[data-mark=waiting]").first().hover();
    await page
      .getByRole("tooltip")
      .getByText(runs[2] ?? "")
      .waitFor();
    await page.getByRole("tooltip").getByText("1st in line").waitFor();
    await page.mouse.move(700, 5);

    gates.open("a1");
    await waitFor(async () => (await runsOf(page, active)).join() === [runs[1], runs[2]].join());
    await soon(() => runsOf(page, waiting)).toEqual([runs[3]]);
    for (const gate of ["a2", "a3", "a4"]) gates.open(gate);
    await acme.waitFor({ state: "detached" });

    const [last] = [await start(pack, "acme", "a5")];
    await acme.locator("[data-mark=free]").waitFor();
    await acme.locator("[data-mark=active]").click();
    await waitFor(() => new URL(page.url()).pathname === `/runs/${last}`);
    gates.open("a5");
  });

  test("show a cancelled run that keeps its slot, and many slots as a bar", async () => {
    const first = await start(stubborn, "mule", "s1");
    await waitFor(async () => (await world.client.runs.get(first)).status === "RUNNING");
    const second = await start(stubborn, "mule", "s2");
    for (let i = 0; i < 41; i++) await start(wide, "fleet", "w1");
    const page = await browser.openPage(`${world.url}/groups`);
    const mule = row(page, "stubborn", "mule");
    await mule.locator(`[data-mark=stopping][data-run="${first}"]`).waitFor();
    await mule.locator(`[data-mark=waiting][data-run="${second}"]`).waitFor();
    const fleet = row(page, "wide", "fleet");
    await fleet.getByText("40/40").waitFor();
    await fleet.getByRole("meter", { name: "Slots in use" }).waitFor();
    await soon(() => fleet.locator("[data-mark=active]").count()).toBe(0);
    await soon(() => fleet.locator("[data-waiting]").getAttribute("data-waiting")).toBe("1");
    gates.open("s1");
    gates.open("s2");
    gates.open("w1");
  });

  test("pause, resume and change limits in the engine, by mouse and by keyboard", async () => {
    for (const gate of ["g1", "g2", "g3"]) await start(pack, "globex", gate);
    const page = await browser.openPage(`${world.url}/groups?q=globex`);
    const globex = row(page, "tenant", "globex");
    await globex.hover();
    await globex.getByRole("button", { name: "Pause globex" }).click();
    await globex.locator("[data-flag=paused]").waitFor();
    await waitFor(async () => (await world.client.groups.get({ limit: "tenant", key: "globex" })).paused);
    gates.open("g1");
    await globex.getByText("1/2").waitFor();
    expect((await world.client.groups.get({ limit: "tenant", key: "globex" })).waiting).toBe(1);
    await page.mouse.move(700, 5);

    await page.keyboard.press("j");
    await expect.poll(async () => await globex.getAttribute("aria-current")).toBe("true");
    await page.keyboard.press("p");
    await waitFor(async () => !(await world.client.groups.get({ limit: "tenant", key: "globex" })).paused);
    await globex.getByText("2/2").waitFor();

    await page.keyboard.press("e");
    const editor = globex.getByRole("textbox", { name: "Slots of globex" });
    for (const wrong of ["0", "1.5", "many", ""]) {
      await editor.fill(wrong);
      await page.keyboard.press("Enter");
      await globex.getByRole("alert").getByText("a whole number of at least 1").waitFor();
    }
    expect(await maxRunsOf("tenant", "globex")).toBe(2);
    await editor.fill("4");
    await page.keyboard.press("Enter");
    await globex.getByText("2/4").waitFor();
    await globex.locator("[data-flag=overridden]").waitFor({ state: "attached" });
    await waitFor(async () => (await maxRunsOf("tenant", "globex")) === 4);

    await page.keyboard.press("e");
    await globex.getByRole("button", { name: "Rule's own" }).click();
    await globex.getByText("2/2").waitFor();
    await waitFor(async () => (await maxRunsOf("tenant", "globex")) === 2);

    await page.keyboard.press("Enter");
    await waitFor(() => new URL(page.url()).pathname === "/groups/tenant/globex");
    for (const gate of ["g2", "g3"]) gates.open(gate);
  });

  test("take a change back that the engine refuses, and say so", async () => {
    await start(pack, "initech", "i1");
    let refuse = (): void => undefined;
    const refused = new Promise<void>((resolve) => (refuse = resolve));
    const page = await browser.openPage(`${world.url}/groups?q=initech`, {
      tolerate: [/503/],
      prepare: async (page) => {
        await page.route("**/api/group.pause", async (route) => {
          await refused;
          await route.fulfill({
            status: 503,
            json: { error: { code: "ENGINE_UNAVAILABLE", message: "no engine answers", status: 503 } },
          });
        });
      },
    });
    const initech = row(page, "tenant", "initech");
    await initech.hover();
    await initech.getByRole("button", { name: "Pause initech" }).click();
    await initech.locator("[data-flag=paused]").waitFor();
    refuse();
    await page.getByText("Could not pause initech: no engine answers").waitFor();
    await initech.locator("[data-flag=paused]").waitFor({ state: "detached" });
    gates.open("i1");
  });

  test("hold the order still while someone points at it, and say that it has changed", async () => {
    await start(pack, "early", "o0");
    const page = await browser.openPage(`${world.url}/groups`);
    const first = page.locator(".groups-row").first();
    await row(page, "tenant", "early").hover();
    await waitFor(async () => (await page.locator(".groups-hold[data-held=true]").count()) === 1);
    for (let i = 0; i < 6; i++) await start(pack, "late", "o1");
    const pill = page.getByRole("button", { name: /Order changed/ });
    await pill.waitFor();
    expect(await row(page, "tenant", "late").count()).toBe(0);
    await page.mouse.move(700, 5);
    await waitFor(async () => (await first.getAttribute("data-group")) === "tenant late");
    await pill.waitFor({ state: "detached" });
    gates.open("o0");
    gates.open("o1");
  });

  test("filter by limit and text, in the address", async () => {
    await start(pack, "filter-one", "f1");
    await start(pack, "filter-two", "f1");
    await start(reply, "filter-one", "f1");
    const page = await browser.openPage(`${world.url}/groups`);
    await row(page, "chat", "filter-one").waitFor();
    await page.keyboard.press("/");
    await page.keyboard.type("limit:tenant filter");
    await waitFor(() => new URL(page.url()).searchParams.get("q") === "limit:tenant filter");
    await row(page, "chat", "filter-one").waitFor({ state: "detached" });
    await soon(() => page.locator(".groups-row").count()).toBe(2);
    // New ones appear under a filter, too.
    await start(pack, "filter-three", "f1");
    await row(page, "tenant", "filter-three").waitFor();
    await page.reload();
    await row(page, "tenant", "filter-two").waitFor();
    await soon(() => page.getByRole("searchbox").inputValue()).toBe("limit:tenant filter");
    await page.getByRole("searchbox").fill("nobody has this");
    await page.getByText("No live group matches").waitFor();
    gates.open("f1");
  });

  test("show one group: slots with steps, the line with reasons, the machine, all live", async () => {
    const runs: string[] = [];
    for (const [gate, priority] of [
      ["h1", 0],
      ["h2", 0],
      ["h3", 0],
      ["h4", 5],
    ] as const)
      runs.push(await start(pack, "hooli/eu", gate, priority));
    const page = await browser.openPage(`${world.url}/groups/tenant/${encodeURIComponent("hooli/eu")}`);
    const slots = page.getByRole("region", { name: "Slots" });
    const line = page.getByRole("region", { name: "Waiting line" });
    await waitFor(async () => (await runsOf(page, "[data-slot=active]")).join() === runs.slice(0, 2).join());
    await slots.getByText("box").first().waitFor();
    // The one of higher priority is ahead of the one that came before it.
    await soon(() => runsOf(page, ".groups-waiting [data-place]")).toEqual([runs[3], runs[2]]);
    await line.getByText("priority 5").waitFor();
    await line.locator(`[data-run="${runs[2]}"]`).getByRole("button", { name: "Why?" }).click();
    await line.getByText(/waiting for a slot|waits? .*slot/i).waitFor();

    const machine = page.getByRole("region", { name: "Machine" });
    await machine.getByText("is full").waitFor();
    await soon(() => machine.locator("[data-count=active] b").textContent()).toBe("2");
    await soon(() => machine.locator("[data-count=waiting] b").textContent()).toBe("2");
    await machine.locator(".chart[data-ready]").waitFor();
    await axeCheck(page);
    await shot(page, "group-page-dark");

    await page.keyboard.press("p");
    await machine.getByText("is paused").waitFor();
    await page.keyboard.press("p");
    for (const gate of ["h1", "h4"]) gates.open(gate);
    await waitFor(async () => (await runsOf(page, "[data-slot=active]")).join() === [runs[1], runs[2]].join());
    await line.getByText("nobody waits").waitFor();
    for (const gate of ["h2", "h3"]) gates.open(gate);
    await slots.getByText("0 of 2 in use").waitFor();
  });

  test("log every decision of a group, with who is to blame", async () => {
    const old = await start(reply, "talk", "t1");
    await waitFor(async () => (await world.client.runs.get(old)).status === "RUNNING");
    const page = await browser.openPage(`${world.url}/groups/chat/talk`);
    const log = page.getByRole("region", { name: "Decisions" });
    await log.locator(`[data-run="${old}"][data-decision=admitted]`).waitFor();
    const young = await start(reply, "talk", "t2");
    const cancelled = log.locator(`[data-run="${old}"][data-decision=cancelled]`);
    await cancelled.waitFor();
    await log.locator(`[data-run="${old}"][data-decision=released]`).waitFor();
    await log.locator(`.groups-decision[data-run="${young}"][data-decision=admitted]`).waitFor();
    await soon(() => cancelled.locator(".groups-decision-why").textContent()).toMatch(/^superseded by/);
    // Newest first.
    const decisions = await log
      .locator(".groups-decision")
      .evaluateAll((rows) => rows.map((one) => `${one.getAttribute("data-run")} ${one.getAttribute("data-decision")}`));
    expect(decisions.indexOf(`${young} admitted`)).toBeLessThan(decisions.indexOf(`${old} cancelled`));
    expect(decisions.indexOf(`${old} cancelled`)).toBeLessThan(decisions.indexOf(`${old} admitted`));
    await cancelled.locator(".groups-decision-why a").click();
    await waitFor(() => new URL(page.url()).pathname === `/runs/${young}`);
    gates.open("t2");
  });

  test("say so where there is no such limit", async () => {
    const page = await browser.openPage(`${world.url}/groups/nothing/here`, { tolerate: [/404/] });
    await page.getByText("There is no group “here” of limit “nothing”").waitFor();
  });

  test("offer no change in read-only mode", async () => {
    const url = await world.addDashboard({ readOnly: true });
    await start(pack, "readers", "ro");
    const page = await browser.openPage(`${url}/groups?q=readers`);
    const readers = row(page, "tenant", "readers");
    await readers.hover();
    await soon(() => readers.getByRole("button").count()).toBe(0);
    gates.open("ro");
  });

  test("are readable in dark and light, wide and narrow", async () => {
    for (const tenant of ["umbrella", "stark", "wayne"]) for (let i = 0; i < 5; i++) await start(pack, tenant, "look");
    for (const theme of ["dark", "light"] as const)
      for (const width of [1400, 400]) {
        const page = await browser.openPage(`${world.url}/groups`, { theme, width });
        await row(page, "tenant", "umbrella").waitFor();
        await axeCheck(page);
        await soon(() => page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
        await shot(page, `groups-${theme}-${width}`);
        await page.goto(`${world.url}/groups/tenant/umbrella`);
        await page.locator("[data-slot=active]").first().waitFor();
        await page.locator(".chart[data-ready]").waitFor();
        await axeCheck(page);
        await soon(() => page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
        await shot(page, `group-${theme}-${width}`);
      }
    gates.open("look");
  });
});
