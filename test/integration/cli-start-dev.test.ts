/** `startDev` of `sluice/dev`: everything in one process. */
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { describe, expect, test } from "vitest";
import { startDev, type DevOptions } from "../../src/dev/start-dev.ts";
import { OptionsError } from "../../src/errors.ts";
import { defineWorkflow } from "../../src/workflow/define.ts";
import { onCleanup } from "../support/cleanup.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const greet = defineWorkflow<{ readonly name: string }>({ name: "greet", on: "hello" }).step(
  "say",
  (ctx) => `hello ${ctx.input.name}`,
);
const logger = pino({ level: "silent" });

async function start(options: Partial<DevOptions> = {}) {
  const dev = await startDev({ workflows: [greet], natsPort: 0, logger, ...options });
  onCleanup(() => dev.stop());
  return dev;
}

describe("startDev", () => {
  test("runs workflows of this process, and is gone after stop, with its temporary folder", async () => {
    const before = await readdir(tmpdir());
    const dev = await start({ slots: 2, dashboardPort: 0 });
    expect(dev.natsUrl).toMatch(/^nats:\/\/127\.0\.0\.1:\d+$/);
    expect(dev.dashboardUrl).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect((await fetch(`${dev.dashboardUrl}/readyz`)).status).toBe(200);
    const run = await dev.client.run(greet, { name: "ada" });
    expect(await run.result()).toEqual({ say: "hello ada" });
    await dev.stop();
    await dev.stop();
    const made = (await readdir(tmpdir())).filter((name) => name.startsWith("sluice-dev-") && !before.includes(name));
    expect(made).toEqual([]);
    await expect(dev.client.runs.list()).rejects.toMatchObject({ code: "NOT_CONNECTED" });
    await expect(fetch(`${dev.dashboardUrl}/healthz`)).rejects.toThrow("fetch failed");
  });

  test("goes on where it was when it is started again on the same folder", async () => {
    const dataDir = await temporaryFolder("start-dev");
    const first = await start({ dataDir });
    const done = await first.client.run(greet, { name: "ada" });
    await done.result();
    const later = await first.client.run(greet, { name: "bob" }, { delay: "2s" });
    await first.stop();
    expect(existsSync(dataDir)).toBe(true);

    const second = await start({ dataDir });
    expect(await second.client.runs.get(done.id)).toMatchObject({ status: "SUCCEEDED", outputs: { say: "hello ada" } });
    expect(await second.client.runs.handle(later.id).result()).toEqual({ say: "hello bob" });
  });

  test("two of them run side by side, each on ports of its own where none are given", async () => {
    const [one, two] = [await start({ natsPort: undefined }), await start({ natsPort: undefined })];
    expect(one.natsUrl).not.toBe(two.natsUrl);
    expect(one.dashboardUrl).not.toBe(two.dashboardUrl);
  });

  test.each<[Record<string, unknown>, RegExp]>([
    [
      { workflows: [] },
      /^expected 'workflows' to be a list of at least one workflow made by defineWorkflow, got \[\] \(startDev\)$/,
    ],
    [{ slots: 0 }, /^expected 'slots' to be an integer from 1 to 100000, got 0/],
    [{ natsPort: 70_000 }, /^expected 'natsPort' to be an integer from 0 to 65535, got 70000/],
    [{ dataDri: "x" }, /^unknown option 'dataDri': did you mean "dataDir"\?/],
  ])("refuses %o", async (options, message) => {
    const starting = startDev({ workflows: [greet], logger, ...options } as unknown as DevOptions);
    await expect(starting).rejects.toThrow(OptionsError);
    await expect(starting).rejects.toThrow(message);
  });

  test("starts nothing for workflows that cannot be registered", async () => {
    const dataDir = join(await temporaryFolder("start-dev"), "data");
    const notOne = { name: "not one" } as unknown as DevOptions["workflows"][number];
    await expect(start({ dataDir, workflows: [notOne] })).rejects.toThrow(/^expected 'workflows' to be a list/);
    await expect(start({ dataDir, workflows: [greet, greet] })).rejects.toThrow(/got "greet" twice/);
    await expect(start({ dataDir, workflows: [defineWorkflow({ name: "empty" })] })).rejects.toThrow(/at least one step/);
    expect(existsSync(dataDir)).toBe(false);
  });

  test("leaves nothing running where a port is taken", async () => {
    const other = await start();
    const dataDir = await temporaryFolder("start-dev");
    await expect(start({ dataDir, natsPort: Number(new URL(other.natsUrl).port) })).rejects.toMatchObject({
      code: "NATS_PORT_IN_USE",
    });
    await start({ dataDir });
  });
});
