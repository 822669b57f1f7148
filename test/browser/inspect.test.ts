/**
 * The page of foreign XState programs, fed by Stately's own client from Node.js and from a page; and our runs in Stately's own
 * receiver in a window, over a local stand-in for its page.
 */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createWebSocketInspector, createWebSocketReceiver } from "@statelyai/inspect";
import type { Page } from "playwright-core";
import { defineWorkflow } from "sluice";
import { beforeAll, describe, expect, test } from "vitest";
import { build } from "vite";
import { assign, createActor, fromPromise, setup } from "xstate";
import { z } from "zod";
import { onCleanup } from "../support/cleanup.ts";
import { waitFor } from "../support/wait.ts";
import { axeCheck } from "./support/axe.ts";
import { noBrowser, openBrowser, type TestBrowser } from "./support/browser.ts";
import { shot } from "./support/shot.ts";
import { soon } from "./support/soon.ts";
import { type DashboardWorld, startDashboardWorld } from "./support/world.ts";

const SECRET = "sk-test-51Habc";
const PROJECT = fileURLToPath(new URL("../..", import.meta.url));

const order = setup({
  types: { events: {} as { type: "PLACE"; card: { token: string } } | { type: "RETRY" } | { type: "CANCEL" } },
  actors: {
    charge: fromPromise(async ({ input }: { input: { apiKey: string; fails: boolean } }) => {
      if (input.fails) throw new Error("card declined");
      return { charged: true };
    }),
  },
  guards: { mayRetry: ({ context }: { context: { attempts: number } }) => context.attempts < 3 },
}).createMachine({
  id: "order",
  context: { attempts: 0, password: SECRET },
  initial: "basket",
  states: {
    basket: { on: { PLACE: "paying" } },
    paying: {
      initial: "charging",
      states: {
        charging: {
          entry: assign({ attempts: ({ context }) => context.attempts + 1 }),
          invoke: {
            id: "charge",
            src: "charge",
            input: ({ context }) => ({ apiKey: SECRET, fails: context.attempts < 2 }),
            onDone: "#order.shipping",
            onError: [{ target: "declined", guard: "mayRetry" }, { target: "#order.failed" }],
          },
        },
        declined: { on: { RETRY: "charging" } },
      },
    },
    shipping: {
      type: "parallel",
      onDone: "delivered",
      states: {
        parcel: { initial: "packed", states: { packed: { after: { 50: "sent" } }, sent: { type: "final" } } },
        mail: { initial: "writing", states: { writing: { after: { 20: "sent" } }, sent: { type: "final" } } },
      },
    },
    delivered: { type: "final" },
    failed: { type: "final" },
  },
  on: { CANCEL: ".failed" },
});

/** Runs one with Stately's client, as a user's program would. */
function startProgram(url: string, name: string) {
  const inspector = createWebSocketInspector({ url: `${url.replace("http", "ws")}/inspect?name=${name}` });
  onCleanup(() => inspector.stop());
  const actor = createActor(order, { inspect: inspector.inspect });
  actor.start();
  return { actor, stop: () => inspector.stop() };
}

async function place({ actor }: ReturnType<typeof startProgram>): Promise<void> {
  actor.send({ type: "PLACE", card: { token: SECRET } });
  await waitFor(() => actor.getSnapshot().matches({ paying: "declined" }));
}

const steps = defineWorkflow({
  name: "letters",
  on: ["letter.wanted"],
  input: z.object({ to: z.string(), secret: z.string() }),
}).step("write", async (ctx) => {
  await new Promise((resolve) => ctx.signal.addEventListener("abort", resolve));
});

describe.skipIf(noBrowser)("the page of any XState program", () => {
  let world: DashboardWorld;
  let browser: TestBrowser;
  beforeAll(async () => {
    world = await startDashboardWorld({ workflows: [steps] });
    browser = await openBrowser();
  });

  const open = (page: string, options = {}) => browser.openPage(`${world.url}${page}`, options);
  const stateOf = (page: Page) => page.locator("[data-actor]").first();

  test("says exactly what to type, with its own address", async () => {
    const { url } = await emptyWorld();
    const page = await browser.openPage(`${url}/inspect`);
    await page.getByText("npm install @statelyai/inspect").waitFor();
    const code = await page.locator(".inspect-code code").textContent();
    expect(code).toContain(`createWebSocketInspector({ url: "${url.replace("http", "ws")}/inspect" })`);
    expect(code?.split("\n")).toHaveLength(5);
    await soon(() => page.getByRole("button", { name: "Copy" }).count()).toBe(2);
    await shot(page, "inspect-empty-dark");
    await axeCheck(page);
    await page.setViewportSize({ width: 400, height: 800 });
    await shot(page, "inspect-empty-400");
    await soon(() => overflow(page)).toBe(0);
  });

  test("shows a program by itself, its states as they change, and the way back", async () => {
    const page = await open("/inspect");
    const program = startProgram(world.url, "shop");
    await page.locator(".inspect-program", { hasText: "shop" }).waitFor();
    await page.locator(".inspect-program", { hasText: "shop" }).click();
    await waitFor(async () => (await stateOf(page).textContent()) === "basket");
    await place(program);
    await waitFor(async () => (await stateOf(page).textContent()) === "paying › declined");
    await activeIs(page, "order.paying.declined");
    // The protocol does not say which transition was taken; here it can only be one.
    await page.locator('[data-taken][data-edge^="order.paying.charging|xstate.error.actor.charge|0"]').first().waitFor();

    program.actor.send({ type: "RETRY" });
    await waitFor(() => program.actor.getSnapshot().status === "done");
    await waitFor(async () => (await stateOf(page).textContent()) === "delivered");
    await shot(page, "inspect-1400-dark");

    // The log, the chart and the tree are at one moment.
    await page.locator(".inspect-row", { hasText: "PLACE" }).click();
    await activeIs(page, "order.paying.charging");
    await soon(() => stateOf(page).textContent()).toBe("paying › charging");
    await page.keyboard.press("ArrowLeft");
    await activeIs(page, "order.basket");
    const at = new URL(page.url()).searchParams.get("at");
    expect(at).toMatch(/^\d+$/);
    await page.reload();
    await activeIs(page, "order.basket");
    await page.keyboard.press("l");
    await activeIs(page, "order.delivered");
    await soon(() => new URL(page.url()).searchParams.has("at")).toBe(false);

    await page.getByRole("tab", { name: "Sequence" }).click();
    await page.locator(".inspect-message", { hasText: "PLACE" }).first().waitFor();
    await soon(() => page.locator(".inspect-lifeline").allTextContents()).toEqual(
      expect.arrayContaining(["outside", "order", "charge"]),
    );
    await shot(page, "inspect-sequence-dark");
    await page.getByRole("tab", { name: "State" }).click();
    await page.locator(".inspect-state", { hasText: "attempts" }).waitFor();
    await soon(() => page.locator(".inspect-state").textContent()).toContain("password: redacted");
    await axeCheck(page);
    expect(await page.content()).not.toContain(SECRET);

    // While it is connected it stays.
    expect(await page.getByRole("button", { name: "Forget shop" }).count()).toBe(0);
    program.stop();
    await page.locator(".inspect-program", { hasText: "ended" }).first().waitFor();
    await page.getByRole("button", { name: "Forget shop" }).click();
    await page.getByRole("dialog").getByText("Forget shop?").waitFor();
    await shot(page, "inspect-forget-dark");
    await axeCheck(page);
    await page.getByRole("button", { name: "Forget it" }).click();
    await soon(() => page.locator(".inspect-program", { hasText: "shop" }).count()).toBe(0);
    await soon(() => new URL(page.url()).search).toBe("");
  });

  test("is good to look at in light, and on a phone", async () => {
    const program = startProgram(world.url, "phone");
    await place(program);
    for (const [width, theme] of [
      [1400, "light"],
      [400, "dark"],
      [400, "light"],
    ] as const) {
      const page = await open("/inspect", { width, theme, height: 860 });
      await page.locator(".inspect-program", { hasText: "phone" }).click();
      await page.locator(".chart[data-ready]").waitFor();
      await activeIs(page, "order.paying.declined");
      await shot(page, `inspect-${width}-${theme}`);
      await axeCheck(page);
      await soon(() => overflow(page)).toBe(0);
      if (width === 400) {
        await page.getByRole("tab", { name: "Log" }).click();
        await page.locator(".inspect-row", { hasText: "PLACE" }).waitFor();
        await shot(page, `inspect-log-${width}-${theme}`);
      }
    }
  });

  test("takes programs in pages of development servers, with Stately's client bundled", async () => {
    const site = await startSite({
      "/": "<!doctype html><title>app</title><script type=module src=/app.js></script>",
      "/app.js": await bundle(`
        import { createWebSocketInspector } from "@statelyai/inspect";
        import { createActor, createMachine } from "xstate";
        const inspector = createWebSocketInspector({ url: ${JSON.stringify(`${world.url.replace("http", "ws")}/inspect?name=in-a-page`)} });
        const machine = createMachine({ id: "light", initial: "red", states: { red: { on: { NEXT: "green" } }, green: { on: { NEXT: "red" } } } });
        const actor = createActor(machine, { inspect: inspector.inspect });
        actor.start();
        actor.send({ type: "NEXT" });
        globalThis.actor = actor;
      `),
    });
    // No page of ours, so it is opened as any other.
    const app = await browser.context.newPage();
    onCleanup(async () => await app.close());
    await app.goto(site);
    const page = await open("/inspect");
    await page.locator(".inspect-program", { hasText: "in-a-page" }).click();
    await waitFor(async () => (await stateOf(page).textContent()) === "green");
    await activeIs(page, "light.green");
  });

  test("sends a run to Stately's receiver in a window, after a click, and under that address alone", async () => {
    const site = await startSite({
      "/": "<!doctype html><title>inspector</title><script type=module src=/inspector.js></script>",
      "/inspector.js": await bundle(`
        import { createBrowserReceiver } from "@statelyai/inspect";
        globalThis.messages = [];
        createBrowserReceiver().subscribe((message) => void globalThis.messages.push(message));
      `),
    });
    const run = await world.client.run(steps, { to: "ada", secret: SECRET });
    const page = await open(`/runs/${run.id}`, { prepare: (fresh: Page) => withInspector(fresh, site) });
    await page.getByRole("button", { name: "Open in Stately" }).click();
    await page.getByText("This sends the run’s data, redacted, to a page of a third party").waitFor();
    await axeCheck(page, "dialog");
    await shot(page, "inspect-stately-dialog");
    const [popup] = await Promise.all([page.waitForEvent("popup"), page.getByRole("button", { name: "Send and open" }).click()]);
    await page.getByText(/^Connected: \d+ messages sent/).waitFor();
    const read = () => popup.evaluate(() => (globalThis as unknown as { messages: Record<string, unknown>[] }).messages);
    const started = await waitFor(async () => {
      const messages = await read();
      return messages.some(({ type }) => type === "@xstate.snapshot") ? messages : undefined;
    });
    expect(started[0]).toMatchObject({ type: "@xstate.actor", sessionId: `run/${run.id}`, rootId: `run/${run.id}` });
    expect(JSON.parse(String(started[0]?.["definition"]))).toHaveProperty("states");
    expect(JSON.stringify(started)).not.toContain(SECRET);

    await run.cancel();
    await waitFor(async () =>
      (await read()).some(
        ({ type, snapshot }) => type === "@xstate.snapshot" && (snapshot as { status: string }).status === "done",
      ),
    );
    await popup.close();
    await page.getByText("The window was closed; nothing more is sent.").waitFor();
  });

  test("says so when the window is blocked, when nothing answers, and listens to no other page", async () => {
    const silent = await startSite({ "/": "<!doctype html><title>nothing</title>" });
    const run = await world.client.run(steps, { to: "bob", secret: SECRET });
    const page = await open(`/runs/${run.id}`, {
      prepare: async (fresh: Page) => {
        await withInspector(fresh, silent, 300);
        await fresh.addInitScript(() => {
          const real = window.open.bind(window);
          let blocked = true;
          window.open = (...args) => {
            const now = blocked;
            blocked = false;
            return now ? null : real(...args);
          };
        });
      },
    });
    await page.getByRole("button", { name: "Open in Stately" }).click();
    await page.getByRole("button", { name: "Send and open" }).click();
    await page.getByText("The browser has not opened the window").waitFor();
    const [popup] = await Promise.all([page.waitForEvent("popup"), page.getByRole("button", { name: "Try again" }).click()]);
    await page.getByText("has not answered").waitFor();
    // Says the right thing, but is not the window that was opened.
    await page.evaluate(() => window.postMessage({ type: "@statelyai.connected" }, "*"));
    await page.evaluate(() => new Promise((resolve) => setTimeout(resolve)));
    expect(await page.locator("[role=status][data-mode]").getAttribute("data-mode")).toBe("silent");
    await popup.close();
  });

  test("serves Stately's receivers of WebSockets, over a real engine, with nothing that is secret", async () => {
    const run = await world.client.run(steps, { to: "cid", secret: SECRET });
    const messages: Record<string, unknown>[] = [];
    const receiver = createWebSocketReceiver({ server: `${world.url.replace("http", "ws")}/inspect/out?run=${run.id}` });
    receiver.subscribe((message) => void messages.push(message as unknown as Record<string, unknown>));
    await waitFor(() => messages.some(({ event }) => (event as { type?: string } | undefined)?.type === "step.started.write"));
    expect(messages[0]).toMatchObject({ type: "@xstate.actor", sessionId: `run/${run.id}` });
    expect(messages.every(({ rootId }) => rootId === `run/${run.id}`)).toBe(true);
    await run.cancel();
    await waitFor(() => messages.some(({ snapshot }) => (snapshot as { status?: string } | undefined)?.status === "done"));
    expect(JSON.stringify(messages)).not.toContain(SECRET);
  });

  async function emptyWorld(): Promise<{ readonly url: string }> {
    return { url: await world.addDashboard({}) };
  }
});

async function activeIs(page: Page, id: string): Promise<void> {
  await page.locator(`[data-state="${id}"][data-active]`).first().waitFor();
}

async function overflow(page: Page): Promise<number> {
  return await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}

/** The page's own `<meta>`, which only a test has. */
async function withInspector(page: Page, url: string, answerMs?: number): Promise<void> {
  await page.addInitScript(
    ({ url, answerMs }) => {
      document.addEventListener("DOMContentLoaded", () => {
        const meta = document.createElement("meta");
        meta.name = "stately-inspector";
        meta.content = url;
        if (answerMs !== undefined) meta.dataset["answerMs"] = String(answerMs);
        document.head.append(meta);
      });
    },
    { url, answerMs },
  );
}

/** A site of another origin on this machine. */
async function startSite(files: Readonly<Record<string, string>>): Promise<string> {
  const server: Server = createServer((request, response) => {
    const path = (request.url ?? "/").split("?")[0] ?? "/";
    const body = files[path];
    response.statusCode = body === undefined ? (path === "/favicon.ico" ? 204 : 404) : 200;
    response.setHeader("content-type", path.endsWith(".js") ? "text/javascript" : "text/html");
    response.end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onCleanup(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

/** As a user's build does it. In a folder of the project, so that packages are found. */
async function bundle(code: string): Promise<string> {
  const folder = await mkdtemp(join(PROJECT, "node_modules", ".inspect-test-"));
  onCleanup(async () => await rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, "main.js"), code);
  await build({
    configFile: false,
    root: folder,
    logLevel: "error",
    build: { outDir: "out", lib: { entry: "main.js", formats: ["es"], fileName: "main" }, target: "es2022" },
    define: { "process.env.NODE_ENV": '"production"' },
  });
  const [file = ""] = (await readdir(join(folder, "out"))).filter((name) => /\.m?js$/.test(name));
  return await readFile(join(folder, "out", file), "utf8");
}
