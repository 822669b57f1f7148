/** The page of a run, over a real engine, worker and server: its life, live and in the past, in all of its views. */
import type { Page } from "playwright-core";
import { beforeAll, describe, expect, test } from "vitest";
import { compileRunMachine } from "../../machines/run/compile.ts";
import type { RunRecord } from "../../src/protocol/record.ts";
import type { Operation, Operations, RunView } from "../../src/protocol/view.ts";
import { createStepper } from "../../src/step/stepper.ts";
import { stateRows } from "../../src/ui/run/model/state-tree.ts";
import { waitFor } from "../support/wait.ts";
import { axeCheck } from "./support/axe.ts";
import { noBrowser, openBrowser, type PageOptions, type TestBrowser } from "./support/browser.ts";
import { broken, chat, flaky, gates, hold, poll, report, RUN_WORKFLOWS } from "./support/run-workflows.ts";
import { shot } from "./support/shot.ts";
import { soon } from "./support/soon.ts";
import { type DashboardWorld, startDashboardWorld } from "./support/world.ts";

describe.skipIf(noBrowser)("the page of a run", () => {
  let world: DashboardWorld;
  let browser: TestBrowser;
  /** A run of four steps in a diamond, one of which needed a retry; with secrets and markup in what it was given. */
  let diamond: RunView;
  let record: RunRecord;
  const input = {
    tenant: 'acme <b id="injected">&co',
    password: "hunter2",
    nested: { token: "tok-secret-input" },
    question: "<script>globalThis.hacked = 1</script>",
  };

  beforeAll(async () => {
    world = await startDashboardWorld({ workflows: RUN_WORKFLOWS });
    browser = await openBrowser();
    const run = await world.client.run(report, input);
    ({ run: diamond, record } = await ended(run.id));
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

  async function ended(id: string): Promise<{ run: RunView; record: RunRecord }> {
    const options = { timeoutMs: 30_000, what: `the end of run ${id}` };
    const run = await waitFor(async () => {
      const view = await read("run.get", { id });
      return view.finishedAt === undefined ? undefined : view;
    }, options);
    const whole = await waitFor(async () => {
      const found = await read("run.record", { id });
      return found.frames.at(-1)?.status === run.status ? found : undefined;
    }, options);
    return { run, record: whole };
  }

  const open = async (id: string, query = "", options: PageOptions = {}): Promise<Page> => {
    const page = await browser.openPage(`${world.url}/runs/${id}${query}`, options);
    await page.locator(`.run-page[data-run="${id}"]`).waitFor();
    return page;
  };

  /** `16 of 16`, and what the cursor's bar says besides. */
  const where = (page: Page): Promise<string> => page.locator(".run-past-where").innerText();
  const at = async (page: Page, place: string): Promise<void> =>
    await page.locator(".run-past-where", { hasText: place }).waitFor();
  const statesShown = async (page: Page): Promise<string[]> =>
    (await page.locator('.state-tree li:not([data-mark="left"]) .state-name').allInnerTexts()).map((text) => text.trim());
  const statesOf = (value: unknown): string[] => stateRows(value, undefined).map(({ name }) => name);

  test("shows at any frame the state that the record has, and that the journal's events lead to", async () => {
    const { items: events } = await read("run.events", { id: diamond.id });
    expect(record.frames.map(({ type }) => type)).toEqual(events.map(({ type }) => type));
    const stepper = createStepper(compileRunMachine(report.spec));
    let snapshot = stepper.initialWith({ runId: diamond.id }).snapshot;
    const values = events.map(({ type, data }, index) => {
      if (record.frames[index]?.fed === true)
        snapshot = stepper.step(snapshot, { ...(data as object | undefined), type }).snapshot;
      return snapshot.value;
    });
    const page = await open(diamond.id, "?tab=state&at=0");
    for (const [index, value] of values.entries()) {
      await at(page, `${index + 1} of ${values.length}`);
      const wanted = JSON.stringify(statesOf(value));
      await waitFor(async () => JSON.stringify(await statesShown(page)) === wanted, { what: `frame ${index} to show ${wanted}` });
      expect(statesOf(record.frames[index]?.value), `frame ${index}`).toEqual(statesOf(value));
      if (index < values.length - 1) await page.keyboard.press("ArrowRight");
    }
    // The chart lights the same states: those of its boxes that are not within a closed one.
    await page.keyboard.press("Home");
    const frame = record.frames.findIndex(({ type }) => type === "xstate.error.actor.rank");
    await page.goto(`${world.url}/runs/${diamond.id}?tab=state&at=${frame}`);
    await page.locator('.chart [data-state="run.running.rank"][data-active]').waitFor();
    const lit = await page
      .locator(".chart [data-state][data-active]")
      .evaluateAll((all) => all.map((one) => one.getAttribute("data-state")));
    const active = record.frames[frame]?.active ?? [];
    expect(lit.length).toBeGreaterThan(2);
    for (const id of lit) expect(active).toContain(id);
  });

  test("moves one cursor with keys, and keeps it in the address", async () => {
    const count = record.frames.length;
    const page = await open(diamond.id);
    await at(page, `${count} of ${count}`);
    await page.keyboard.press("ArrowLeft");
    await at(page, `${count - 1} of ${count}`);
    await soon(() => page.locator('.run-past[data-past="true"]').count()).toBe(1);
    await page.keyboard.press("Home");
    await at(page, `1 of ${count} · the start`);
    for (let index = 0; index < 4; index++) await page.keyboard.press("ArrowRight");
    await at(page, `5 of ${count}`);
    await waitFor(() => new URL(page.url()).searchParams.get("at") === "4");
    for (const [index, tab] of ["chart", "timeline", "sequence", "log", "state"].entries()) {
      await page.keyboard.press(String(index + 1));
      await waitFor(() => new URL(page.url()).searchParams.get("tab") === tab);
      await soon(() => page.getByRole("tab", { selected: true }).innerText()).toBe(tab.charAt(0).toUpperCase() + tab.slice(1));
    }
    await page.reload();
    await at(page, `5 of ${count}`);
    await soon(() => page.getByRole("tab", { selected: true }).innerText()).toBe("State");
    // A click on a tab leaves the arrow keys to the frames.
    await page.getByRole("tab", { name: "Log" }).click();
    await page.keyboard.press("ArrowRight");
    await at(page, `6 of ${count}`);
    await page.keyboard.press("l");
    await at(page, `${count} of ${count}`);
    await waitFor(() => !page.url().includes("at="));
    await page.keyboard.press("Home");
    await page.keyboard.press("Space");
    await waitFor(async () => Number.parseInt(await where(page), 10) >= 3, { what: "the playback" });
    await page.keyboard.press("Space");
    const paused = await where(page);
    await page.keyboard.press("End");
    await at(page, `${count} of ${count}`);
    expect(Number.parseInt(paused, 10)).toBeLessThan(count);
    await page.keyboard.press("Escape");
    await page.waitForURL(`${world.url}/runs`);
  });

  test("moves all views from any of them", async () => {
    const frame = record.frames.findIndex(({ type }) => type === "xstate.error.actor.rank");
    const place = `${frame + 1} of ${record.frames.length}`;
    const page = await open(diamond.id, "?tab=timeline");
    // A bar of the timeline: the second attempt begins where the engine has given it to a worker.
    const second = record.frames.findLastIndex(({ type }) => type === "step.started.rank");
    await page.locator(`.timeline-bar[data-kind="running"][data-begins="${second}"]`).click();
    await at(page, `${second + 1} of`);
    // The line in it, dragged to the left.
    const plot = await page.locator(".timeline-plot").boundingBox();
    if (plot === null) throw new Error("there is no plot");
    await page.mouse.move(plot.x + plot.width * 0.7, plot.y + plot.height - 4);
    await page.mouse.down();
    await page.mouse.move(plot.x - 5, plot.y + plot.height - 4, { steps: 4 });
    await page.mouse.up();
    await at(page, "1 of");
    // An arrow of the sequence.
    await page.keyboard.press("3");
    await page.locator(`.sequence-row[data-position="${frame}"]`).first().click();
    await at(page, place);
    await soon(() => page.locator('.sequence-row[data-state="lit"]').first().getAttribute("data-position")).toBe(String(frame));
    // A row of the log.
    await page.keyboard.press("4");
    await soon(() => page.locator('.log-row[data-lit="true"]').getAttribute("data-position")).toBe(String(frame));
    await page.locator(`.log-row[data-position="2"]`).click();
    await at(page, "3 of");
    // A state in the chart, which goes to where it was entered.
    const entered = record.frames.findIndex(({ active }) => active.includes("run.succeeded"));
    await page.locator('.chart [data-state="run.succeeded"]').click();
    await at(page, `${entered + 1} of`);
    // The scrubber.
    const track = await page.getByRole("slider").boundingBox();
    await page.mouse.click((track?.x ?? 0) + 10, (track?.y ?? 0) + 13);
    await at(page, "1 of");
  });

  test("follows a run that goes on, but not from under who looks at its past", async () => {
    const run = await world.client.run(hold, { tenant: "live", gate: "live" });
    const page = await open(run.id, "?tab=timeline");
    await page.locator('[data-lane="hold"] .timeline-bar[data-kind="running"][data-open]').waitFor();
    await page.locator(".run-sentence", { hasText: "It is running step hold (attempt 1) on worker worker-1 for" }).waitFor();
    // The bar grows, though nothing happens to the run.
    const bar = page.locator('[data-lane="hold"] .timeline-bar[data-kind="running"] .timeline-shape');
    const width = Number(await bar.getAttribute("width"));
    await waitFor(async () => Number(await bar.getAttribute("width")) > width + 3, { what: "a bar that grows" });
    await page.keyboard.press("Home");
    await at(page, "the start");
    gates.open("live");
    await page.locator('.run-page[data-status="SUCCEEDED"]').waitFor();
    await page.locator(".run-past-text", { hasText: "before the end" }).waitFor();
    expect((await where(page)).split(" ")[0]).toBe("1");
    await soon(() => page.locator('.chart [data-state="run.waiting"][data-active]').count()).toBe(1);
    await page.keyboard.press("l");
    await page.locator('.chart [data-state="run.succeeded"][data-active]').waitFor();
    await page.locator(".run-sentence", { hasText: "It succeeded after" }).waitFor();
  });

  test("says why a run waits, with links to who holds its slot and to its group", async () => {
    const [holder, second, third] = [
      await world.client.run(hold, { tenant: "line", gate: "line" }),
      await world.client.run(hold, { tenant: "line", gate: "line" }),
      await world.client.run(hold, { tenant: "line", gate: "line" }),
    ];
    const page = await open(third.id);
    const sentence = page.locator(".run-sentence");
    await sentence.getByText("it is 2nd of 2 in line").waitFor();
    await soon(() => sentence.getByRole("link").evaluateAll((links) => links.map((link) => link.getAttribute("href")))).toEqual([
      "/groups/hold/line",
      `/runs/${holder.id}`,
    ]);
    const line = page.getByRole("region", { name: "The line of its group" });
    await soon(() => line.getByRole("list", { name: "Runs that hold its slots" }).getByRole("link").getAttribute("title")).toBe(
      holder.id,
    );
    await soon(() => line.getByRole("list", { name: "Runs in line before it" }).getByRole("link").getAttribute("title")).toBe(
      second.id,
    );
    await soon(() => line.locator('[data-own="true"]').innerText()).toContain("2");
    await page.locator('.chart [data-state="run.waiting"]').waitFor();
    await shot(page, "run-waiting-dark");
    await axeCheck(page);
    await page.setViewportSize({ width: 400, height: 850 });
    await shot(page, "run-waiting-dark-400");
    await sentence.getByRole("link").nth(1).click();
    await page.locator(`.run-page[data-run="${holder.id}"]`).waitFor();
    gates.open("line");
    await ended(third.id);
  });

  test("counts down to the next attempt, in the sentence and on the chart", async () => {
    const run = await world.client.run(flaky, {});
    const page = await open(run.id, "?tab=timeline");
    await page
      .locator(".run-sentence", { hasText: /failed in attempt 1 \(?503 from upstream\)? and is tried again in \d+ s/ })
      .waitFor();
    const countdown = page.locator('.run-sentence .run-ticking[data-kind="until"]');
    const before = await countdown.innerText();
    await waitFor(async () => (await countdown.innerText()) !== before, { what: "a countdown that counts" });
    await page.locator('.timeline-bar[data-kind="backoff"][data-open]').waitFor();
    await page.locator("[data-timer]").first().waitFor();
    await shot(page, "run-backoff-dark");
    await world.client.runs.cancel(run.id);
  });

  test("cancels a run, and shows who did and when its worker had stopped", async () => {
    const run = await world.client.run(chat, { user: "ada", text: "cancelled by hand" });
    const page = await open(run.id, "?tab=timeline");
    await page.locator('[data-lane="answer"] .timeline-bar[data-kind="running"]').waitFor();
    await page.locator(".run-actions").getByRole("button", { name: "Cancel" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Cancel the run" }).click();
    await page.locator('.run-page[data-status="CANCELLED"]').waitFor();
    await page.locator(".run-sentence", { hasText: "It was cancelled by a user" }).waitFor();
    expect((await world.client.runs.get(run.id)).reason).toBe("CANCELLED_BY_USER");
    await soon(() => page.locator(".run-actions").getByRole("button", { name: "Cancel" }).count()).toBe(0);
    await page.locator('.timeline-mark[data-kind="cancel"]').waitFor();
  });

  test("shows which run has taken the place of a cancelled one", async () => {
    const first = await world.client.run(chat, { user: "bob", text: "first" });
    await waitFor(async () => (await world.client.runs.get(first.id)).steps["answer"]?.status === "RUNNING");
    const second = await world.client.run(chat, { user: "bob", text: "second" });
    await ended(first.id);
    const page = await open(first.id, "?tab=sequence");
    await page.locator(".run-sentence", { hasText: "a newer run took its place" }).waitFor();
    await soon(() => page.locator(`.run-sentence a[href="/runs/${second.id}"]`).count()).toBe(1);
    await page.locator(".sequence-head", { hasText: "bob" }).waitFor();
    await page.locator('.chart [data-state="run.cancelled"][data-active]').waitFor();
    await shot(page, "run-cancelled-sequence-dark");
    await page.keyboard.press("2");
    await page.locator(".timeline-bar").first().waitFor();
    await shot(page, "run-cancelled-dark");
    await page.emulateMedia({ colorScheme: "light" });
    await shot(page, "run-cancelled-light");
    gates.open("chat second");
  });

  test("replays a run, and leads to the new one", async () => {
    const page = await open(diamond.id);
    await page.getByRole("button", { name: "Replay" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Replay it" }).click();
    await page.locator(".kit-toasts").getByRole("button", { name: "Open it" }).click();
    await page.waitForURL((url) => url.pathname.startsWith("/runs/") && !url.pathname.endsWith(diamond.id));
    await page.locator(".run-page .run-facts", { hasText: "replay of" }).waitFor();
    const id = new URL(page.url()).pathname.split("/").at(-1) ?? "";
    expect((await ended(id)).run.replayOf).toBe(diamond.id);
  });

  test("shows no secrets, and markup as the text that it is, wherever it comes from", async () => {
    const failed = await world.client.run(broken, { note: "<img src=x onerror=globalThis.hacked=1>" });
    await ended(failed.id);
    for (const id of [diamond.id, failed.id]) {
      const page = await open(id);
      for (const key of ["1", "2", "3", "4", "5"]) {
        await page.keyboard.press(key);
        for (const move of ["Home", "ArrowRight", "ArrowRight", "End"]) await page.keyboard.press(move);
        await page.locator(".run-panels > *").first().waitFor();
        const html = await page.content();
        for (const secret of ["hunter2", "tok-secret"]) expect(html).not.toContain(secret);
      }
      expect(
        await page.evaluate(() => [Reflect.get(globalThis, "hacked"), document.querySelector("#injected, .run-page img")]),
      ).toEqual([undefined, null]);
      if (id === diamond.id) {
        await page.locator(".state", { hasText: "<script>globalThis.hacked = 1</script>" }).waitFor();
        await soon(() => page.locator(".kit-json-redacted").count()).toBeGreaterThanOrEqual(3);
        await soon(() => page.locator(".run-facts").innerText()).toContain('acme <b id="injected">&co');
      } else {
        await page.locator(".run-sentence", { hasText: 'no <img src=x onerror="globalThis.hacked = 1"> luck' }).waitFor();
        await page.locator(".state-stack").first().waitFor();
      }
    }
  });

  test("filters the log, and shows all that a frame says", async () => {
    const page = await open(diamond.id, "?tab=log");
    await page.locator(".log-filter").waitFor();
    await page.keyboard.press("/");
    await page.keyboard.type("RANK busy -started.");
    await waitFor(async () => (await page.locator(".log-count").innerText()).startsWith("1 of"));
    await page.locator(".log-row").first().click();
    const details = page.getByRole("region", { name: "The frame at the cursor" });
    await details.getByText("xstate.error.actor.rank", { exact: true }).first().waitFor();
    await details.getByText("the model is busy").first().waitFor();
    await page.locator(".log-filter").fill("nothing has this");
    await page.getByText("No frame has all of these words.").waitFor();
  });

  test("tells what to do where there is no such run, and what is there where its history is gone", async () => {
    const page = await browser.openPage(`${world.url}/runs/no-such-run`, { tolerate: [/404/] });
    await page.getByText("There is no such run").waitFor();
    await soon(() => page.getByText("no-such-run").count()).toBeGreaterThan(0);
    const gone = await open(diamond.id, "?tab=timeline", {
      tolerate: [/501/],
      prepare: async (page) => {
        const error = { code: "REQUEST_FAILED", status: 501, message: "this engine has no history" };
        await page.route("**/api/run.record", async (route) => await route.fulfill({ status: 501, json: { error } }));
      },
    });
    await gone.getByText("this engine has no history").first().waitFor();
    await gone.keyboard.press("5");
    await gone.locator(".state-steps", { hasText: "Succeeded" }).waitFor();
    await gone.locator(".state", { hasText: "question" }).waitFor();
  });

  test("tells what happened to a run of a version that is not known any more", async () => {
    const page = await open(diamond.id, "?tab=timeline", {
      prepare: async (page) => {
        const unknown = {
          ...record,
          machine: "",
          frames: record.frames.map(({ value: _, ...frame }) => ({ ...frame, active: [], taken: [], context: null })),
        };
        await page.route("**/api/run.record", async (route) => await route.fulfill({ json: unknown }));
      },
    });
    await page.getByText("There is no chart of this run").waitFor();
    await page.locator('[data-lane="rank"] .timeline-bar').first().waitFor();
    await page.keyboard.press("5");
    await page.locator(".state-steps", { hasText: "Succeeded" }).waitFor();
  });

  test("stays quick with a life of 5,000 frames, live and in the past", { timeout: 180_000 }, async () => {
    const run = await world.client.run(poll, { times: 1_670, gate: "poll" });
    await waitFor(async () => (await world.client.runs.get(run.id)).steps["look"]?.attempts === 1_671, { timeoutMs: 120_000 });
    const opened = performance.now();
    const page = await open(run.id, "?tab=timeline");
    await waitFor(async () => /of 5\d{3}/.test(await where(page)), { timeoutMs: 30_000 });
    const times: Record<string, number> = {};
    const shown = Math.round(performance.now() - opened);
    for (const [key, tab] of Object.entries({ 2: "timeline", 3: "sequence", 4: "log", 5: "state" })) {
      await page.keyboard.press(key);
      await page.locator(`.run-pane .${tab}, .run-panels > .${tab}`).waitFor();
      times[tab] = await page.evaluate(async () => {
        const frame = (): Promise<number> => new Promise((resolve) => requestAnimationFrame(resolve));
        const took: number[] = [];
        for (let index = 0; index < 40; index++) {
          const from = await frame();
          document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowLeft", bubbles: true }));
          took.push((await frame()) - from);
        }
        return took.sort((a, b) => a - b)[20] ?? 0;
      });
    }
    console.log(`5,000 frames: shown after ${shown} ms; ms per step (median of 40): ${JSON.stringify(times)}`);
    expect((await page.locator(".sequence-row").count()) + (await page.locator(".log-row").count())).toBeLessThan(200);
    for (const [tab, ms] of Object.entries(times)) expect(ms, tab).toBeLessThan(250);
    await shot(page, "run-long-dark");
    await page.keyboard.press("2");
    await page.keyboard.press("l");
    gates.open("poll");
    await page.locator(".run-past-now", { hasText: "the end" }).waitFor();
    await shot(page, "run-long-timeline-dark");
  });

  test("is accessible, and fits, in dark and light, wide and narrow", { timeout: 180_000 }, async () => {
    for (const theme of ["dark", "light"] as const) {
      const page = await open(diamond.id, "?at=9", { theme });
      // What is on its way from one colour to another is not what is to be judged.
      await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
      for (const width of [1400, 400]) {
        await page.setViewportSize({ width, height: width === 400 ? 850 : 900 });
        for (const [key, tab] of Object.entries({ 1: "chart", 2: "timeline", 3: "sequence", 4: "log", 5: "state" })) {
          await page.keyboard.press(key);
          await page.locator(`.run-panels .${tab}`).first().waitFor();
          if (tab === "chart") await page.locator(".chart[data-ready]").waitFor();
          await shot(page, `run-${tab}-${theme}-${width}`);
          await waitFor(async () => await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), {
            what: `${tab} to fit into ${width}`,
          });
          await axeCheck(page);
        }
      }
    }
  });
});
