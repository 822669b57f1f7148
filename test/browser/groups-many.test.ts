/**
 * The list of groups with 10,000 live groups and 1,000 changes a second: what it costs the page. The bounds are far from what
 * is measured on an idle machine, and near enough to catch a page that draws everything again for every change.
 */
import type { Page } from "playwright-core";
import { defineWorkflow, Strategy } from "sluice";
import { beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { waitFor } from "../support/wait.ts";
import { noBrowser, openBrowser, type TestBrowser } from "./support/browser.ts";
import { Gates } from "./support/gates.ts";
import { shot } from "./support/shot.ts";
import { type DashboardWorld, startDashboardWorld } from "./support/world.ts";

const GROUPS = 10_000;
const CHANGES_PER_SECOND = 1_000;
const SECONDS = 5;
const MEGABYTE = 1_048_576;

const gates = new Gates();
const hold = defineWorkflow({
  name: "hold",
  on: ["hold.wanted"],
  input: z.object({ key: z.string() }),
  concurrency: { name: "many", key: "input.key", maxRuns: 2, strategy: Strategy.GROUP_ROUND_ROBIN },
}).step("wait", async (ctx) => await gates.pass("end", ctx.signal));

interface Cost {
  readonly frames: number;
  readonly medianMs: number;
  readonly p95Ms: number;
  /** Of the page's main thread, in processor time. */
  readonly busyShare: number;
  readonly heapMegabytes: number;
}

/** Lets frames go by for a while, and tells what they cost. */
async function measure(page: Page, seconds: number): Promise<Cost> {
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable", { timeDomain: "threadTicks" });
  const metric = async (name: string): Promise<number> =>
    (await session.send("Performance.getMetrics")).metrics.find((one) => one.name === name)?.value ?? 0;
  const before = await metric("TaskDuration");
  const started = performance.now();
  const frames = await page.evaluate(
    async (ms) =>
      await new Promise<number[]>((resolve) => {
        const times: number[] = [];
        const end = performance.now() + ms;
        let last = performance.now();
        const frame = (now: number): void => {
          times.push(now - last);
          last = now;
          if (now < end) requestAnimationFrame(frame);
          else resolve(times);
        };
        requestAnimationFrame(frame);
      }),
    seconds * 1_000,
  );
  const elapsed = (performance.now() - started) / 1_000;
  const busy = (await metric("TaskDuration")) - before;
  const heap = await metric("JSHeapUsedSize");
  await session.detach();
  const sorted = frames.toSorted((a, b) => a - b);
  const at = (share: number): number => Math.round((sorted[Math.floor(sorted.length * share)] ?? 0) * 10) / 10;
  return {
    frames: frames.length,
    medianMs: at(0.5),
    p95Ms: at(0.95),
    busyShare: Math.round((busy / elapsed) * 100) / 100,
    heapMegabytes: Math.round(heap / MEGABYTE),
  };
}

describe.skipIf(noBrowser)("the list of 10,000 groups", () => {
  let world: DashboardWorld;
  let browser: TestBrowser;
  const key = (n: number): string => `tenant-${String(n).padStart(5, "0")}`;
  const publish = async (keys: readonly string[]): Promise<void> => {
    await world.client.publishMany(keys.map((one) => ({ event: "hold.wanted", payload: { key: one } })));
  };
  beforeAll(async () => {
    world = await startDashboardWorld({ workflows: [hold] });
    browser = await openBrowser();
    await publish(Array.from({ length: GROUPS }, (_, n) => key(n)));
    await waitFor(
      async () => {
        const answer = await fetch(`${world.url}/api/group.list?size=1`);
        return ((await answer.json()) as { total?: number }).total === GROUPS;
      },
      { timeoutMs: 60_000, intervalMs: 200, what: `${GROUPS} live groups` },
    );
  }, 120_000);

  test("stays quick and small while 1,000 things a second change", async () => {
    const page = await browser.openPage(`${world.url}/groups`);
    await page.locator(".groups-row").first().waitFor();
    await page.getByText("10,000 live").waitFor();

    let n = 0;
    const timer = setInterval(() => {
      const keys = Array.from({ length: CHANGES_PER_SECOND / 4 }, () => key((n += 7) % GROUPS));
      void publish(keys).catch(() => undefined);
    }, 250);
    let cost: Cost;
    try {
      await page.locator("[data-waiting], [data-slots='2/2']").first().waitFor();
      cost = await measure(page, SECONDS);
    } finally {
      clearInterval(timer);
    }
    console.log(`10,000 groups, ${CHANGES_PER_SECOND} changes/s: ${JSON.stringify(cost)}`);
    await shot(page, "groups-10000");
    expect(cost.heapMegabytes).toBeLessThan(150);
    expect(cost.busyShare).toBeLessThan(0.6);
    expect(cost.medianMs).toBeLessThan(100);
    // Only what is in view exists.
    expect(await page.locator(".groups-row").count()).toBeLessThan(90);
  });

  test("draws only rows again that have changed", async () => {
    const page = await browser.openPage(`${world.url}/groups?q=tenant-0000`);
    const first = page.locator(`.groups-row[data-group="many tenant-00003"]`);
    await first.waitFor();
    await page.evaluate(() => {
      const changed = new Set<string>();
      Object.assign(globalThis, { changed });
      new MutationObserver((mutations) => {
        for (const { target } of mutations) {
          const row = (target instanceof Element ? target : target.parentElement)?.closest("[data-group]");
          // Ages tick by themselves.
          if (row !== null && row !== undefined && !(target instanceof Text)) changed.add(row.getAttribute("data-group") ?? "");
        }
      }).observe(document.querySelector(".groups-list") as Element, {
        subtree: true,
        childList: true,
        attributes: true,
        characterData: true,
      });
    });
    const before =
      (await first
        .locator("[data-waiting]")
        .getAttribute("data-waiting", { timeout: 2_000 })
        .catch(() => "0")) ?? "0";
    await publish(Array.from({ length: 5 }, () => key(3)));
    await waitFor(async () => Number(await first.locator("[data-waiting]").getAttribute("data-waiting")) > Number(before));
    const changed = await page.evaluate(() => [...(globalThis as unknown as { changed: Set<string> }).changed]);
    expect(changed).toEqual(["many tenant-00003"]);
  });

  test("scrolls to its end, loading what comes into view", async () => {
    const page = await browser.openPage(`${world.url}/groups`);
    await page.locator(".groups-row").first().waitFor();
    const list = page.locator(".groups-list");
    for (let i = 0; i < 20; i++) {
      await list.evaluate((element, part) => (element.scrollTop = element.scrollHeight * part), (i + 1) / 20);
      await page.evaluate(async () => await new Promise((resolve) => requestAnimationFrame(resolve)));
    }
    await waitFor(
      async () => {
        await list.evaluate((element) => (element.scrollTop = element.scrollHeight));
        return (
          (await page.locator(".groups-row[data-group]").count()) > 10 &&
          (await page.locator(".groups-row[data-loading]").count()) === 0
        );
      },
      { timeoutMs: 30_000, intervalMs: 100 },
    );
    const { heapMegabytes } = await measure(page, 1);
    expect(heapMegabytes).toBeLessThan(200);
  });
});
