/** The engine nodes on the page of workers, and the charts of their machines. The engine is made up: what it says is up to the test. */
import { pino } from "pino";
import { beforeAll, describe, expect, test } from "vitest";
import { unreadyHealth } from "../../src/engine/health.ts";
import { type HealthFacts, verdictOf } from "../../src/engine/health-verdict.ts";
import { clusterMachine } from "../../src/engine/machine-definitions.ts";
import type { NodeView } from "../../src/protocol/view.ts";
import { startDashboard } from "../../src/server/index.ts";
import { onCleanup } from "../support/cleanup.ts";
import { startFakeEngine } from "../support/fake-engine.ts";
import { startTestServer } from "../support/nats.ts";
import { axeCheck } from "./support/axe.ts";
import { noBrowser, openBrowser, type TestBrowser } from "./support/browser.ts";
import { shot } from "./support/shot.ts";
import { soon } from "./support/soon.ts";

const node = (id: string, numbers: readonly number[], more: Partial<NodeView> = {}): NodeView => ({
  id,
  name: `engine-${id}`,
  host: "host.example",
  pid: 4_321,
  sluiceVersion: "1.2.3",
  joinedAt: new Date(Date.now() - 3_600_000).toISOString(),
  state: "member",
  coordinator: false,
  partitions: numbers.map((partition) => ({ partition, state: "owned", epoch: 3 })),
  lastSeenAt: new Date().toISOString(),
  ...more,
});

describe.skipIf(noBrowser)("the engine nodes", () => {
  let url = "";
  let browser: TestBrowser;
  let nodes: readonly NodeView[] = [];
  let health = unreadyHealth("starting", "Made up.");

  beforeAll(async () => {
    const server = await startTestServer();
    const engine = await startFakeEngine(server.url);
    engine.serve({
      "health.get": () => health,
      "worker.list": () => ({ items: [] }),
      "node.list": () => ({ items: nodes }),
      "machine.get": ({ machine = "node" }) => ({
        ...clusterMachine(machine),
        counts:
          machine === "node" ? { "node.member": 2, "node.leaving": 1 } : { "ownership.owned": 9, "ownership.elsewhere": 18 },
      }),
    });
    await engine.connection.flush();
    const dashboard = await startDashboard({
      servers: server.url,
      port: 0,
      uiDir: process.env["SLUICE_TEST_UI_DIR"],
      logger: pino({ level: "silent" }),
    });
    onCleanup(async () => await dashboard.stop());
    url = `http://127.0.0.1:${dashboard.port}`;
    browser = await openBrowser();
  });

  test("are shown with their partitions, epochs and the coordinator, and anew while they change", async () => {
    nodes = [
      node("a", [0, 1, 2], { coordinator: true, coordinatorState: "owned", coordinatorEpoch: 7 }),
      node("b", [3], {
        state: "silent",
        partitions: [
          { partition: 3, state: "owned", epoch: 3 },
          { partition: 4, state: "owned", epoch: 3, refused: true },
        ],
      }),
      node("c", [5, 6, 7], { state: "leaving", partitions: [{ partition: 5, state: "givingBack", epoch: 12 }] }),
    ];
    for (const theme of ["dark", "light"] as const)
      for (const width of [400, 1400]) {
        const page = await browser.openPage(`${url}/workers`, { theme, width });
        const rows = page.locator(".nodes-row");
        await rows.nth(2).waitFor();
        expect(await page.locator(".nodes-coordinator").count()).toBe(1);
        expect(await rows.nth(0).locator(".nodes-partition").allInnerTexts()).toEqual(["0", "1", "2"]);
        expect(await rows.nth(2).locator('.nodes-partition[data-mode="givingBack"]').getAttribute("title")).toBe(
          "Partition 5, epoch 12: givingBack",
        );
        expect(await rows.nth(1).locator('.nodes-partition[data-mode="refused"]').innerText()).toMatch(/^4\s*stands still$/);
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        expect(overflow).toBeLessThanOrEqual(0);
        await axeCheck(page);
        await shot(page, `nodes-${theme}-${width}`);
        if (theme === "light" && width === 1400) {
          nodes = nodes.slice(0, 1);
          await expect.poll(() => rows.count(), { timeout: 8_000 }).toBe(1);
        }
      }
  });

  test.each(["node", "ownership"] as const)(
    "link to the chart of the machine %s, with how many are in each state",
    async (machine) => {
      nodes = [node("a", [0])];
      const page = await browser.openPage(`${url}/workers`);
      await page.locator(`a[href="/workers/machines/${machine}"]`).click();
      await page
        .getByRole("heading", { name: machine === "node" ? "Life of an engine node" : "Ownership of a partition" })
        .waitFor();
      await page
        .getByText(machine === "node" ? "leaving" : "givingBack")
        .first()
        .waitFor();
      await page
        .getByText(machine === "node" ? "2" : "18", { exact: true })
        .first()
        .waitFor();
      await axeCheck(page);
      await shot(page, `nodes-machine-${machine}`);
      await page.keyboard.press("Escape");
      await page.waitForURL(`${url}/workers`);
    },
  );

  test("say in the line on every page how the whole is, in whatever way it is not well", async () => {
    const facts: HealthFacts = {
      connected: true,
      refused: 0,
      moving: 0,
      partitions: 8,
      uptimeMs: 60_000,
      live: 15,
      active: 12,
      scheduled: 0,
      behindLimits: 3,
      startsPerMinute: 240,
      workers: 1,
      slots: { used: 10, total: 10 },
      stepsWaiting: 4,
      heldBack: [],
      unserved: [],
      historyBehindMs: 0,
      historyGone: undefined,
    };
    const acme = { limit: "tenant", key: "acme", waiting: 120, active: 3, maxRuns: 3, paused: true, waitedMs: 40_000 };
    const states: readonly [string, Partial<HealthFacts>, tone: string][] = [
      ["held-back", { behindLimits: 240, heldBack: [acme] }, "warn"],
      ["no-worker", { unserved: [{ workflow: "answer", step: "write", waiting: 12 }] }, "bad"],
      ["behind", { historyBehindMs: 95_000 }, "warn"],
      ["moving", { moving: 3 }, "quiet"],
      ["stuck", { refused: 2 }, "bad"],
      ["disconnected", { connected: false }, "bad"],
    ];
    const page = await browser.openPage(`${url}/workers`);
    for (const [name, more, tone] of states) {
      const all = { ...facts, ...more };
      const { verdict, sentence } = verdictOf(all);
      health = {
        ...unreadyHealth("starting", sentence),
        verdict,
        historyBehindMs: all.historyBehindMs,
        live: all.live,
        active: all.active,
        slots: all.slots,
        heldBackBy: all.heldBack,
        noWorkerFor: all.unserved.map(({ workflow, step, waiting }) => ({ workflow, step: step ?? "", waiting })),
      };
      // Sooner than it is told of by itself.
      await page.reload({ waitUntil: "domcontentloaded" });
      const line = page.getByRole("region", { name: "Health" });
      await line.getByTitle(sentence, { exact: true }).waitFor();
      // The stream may bring what was true a moment before, once more.
      await soon(() => line.locator(".shell-dot").getAttribute("data-tone")).toBe(tone);
      await soon(() => line.getByText("history behind by 1:35 min").count()).toBe(name === "behind" ? 1 : 0);
      for (const [width, theme] of [
        [1400, "dark"],
        [400, "light"],
      ] as const) {
        await page.setViewportSize({ width, height: 800 });
        await page.emulateMedia({ colorScheme: theme });
        expect(await page.evaluate(() => document.documentElement.scrollWidth), `${name} ${width}`).toBe(width);
        await shot(page, `health-${name}-${width}`);
      }
    }
    await axeCheck(page);
  });
});
