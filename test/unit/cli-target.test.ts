/** Which server a command means: options, environment, the record of `sluice dev`. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { UsageError } from "../../src/cli/cli-error.ts";
import { findDevRecord, removeDevRecord, writeDevRecord } from "../../src/cli/dev-record.ts";
import { readEnvironment } from "../../src/cli/environment.ts";
import { findTarget } from "../../src/cli/target.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

/** No process has this id: the kernel's largest is 4194304. */
const NOBODY = 99_999_999;

async function folderWithRecord(pid: number): Promise<string> {
  const folder = await temporaryFolder("target");
  await writeDevRecord(join(folder, ".sluice"), { natsUrl: "nats://127.0.0.1:4999", prefix: "mine", pid });
  return folder;
}

describe("the server that a command means", () => {
  test("is the one that --nats names, before all others", async () => {
    const folder = await folderWithRecord(process.pid);
    const target = await findTarget({ nats: "nats://a:1, nats://b:2" }, readEnvironment({ SLUICE_NATS_URL: "nats://c" }), folder);
    expect(target).toMatchObject({ servers: ["nats://a:1", "nats://b:2"], prefix: "sluice" });
  });

  test("else the one in SLUICE_NATS_URL, with the prefix in SLUICE_PREFIX", async () => {
    const folder = await folderWithRecord(process.pid);
    const target = await findTarget({}, readEnvironment({ SLUICE_NATS_URL: "nats://c", SLUICE_PREFIX: "p" }), folder);
    expect(target).toMatchObject({ servers: ["nats://c"], prefix: "p" });
  });

  test("else the one of the `sluice dev` that runs in this folder, with its prefix", async () => {
    const target = await findTarget({}, readEnvironment({}), await folderWithRecord(process.pid));
    expect(target).toMatchObject({ servers: ["nats://127.0.0.1:4999"], prefix: "mine" });
  });

  test("else the usual one, with what to do when nobody is there", async () => {
    const stale = await findTarget({}, readEnvironment({}), await folderWithRecord(NOBODY));
    expect(stale).toMatchObject({ servers: ["nats://127.0.0.1:4222"], origin: expect.stringContaining("has ended") as unknown });
    const none = await findTarget({}, readEnvironment({}), await temporaryFolder("target"));
    expect(none).toMatchObject({
      servers: ["nats://127.0.0.1:4222"],
      prefix: "sluice",
      origin: expect.stringContaining("sluice dev") as unknown,
    });
  });
});

describe("the record of `sluice dev`", () => {
  test("is removed by the process that wrote it only", async () => {
    const data = join(await folderWithRecord(NOBODY), ".sluice");
    await removeDevRecord(data);
    expect(await findDevRecord(data)).toMatchObject({ found: "stale" });
    await removeDevRecord(data, NOBODY);
    expect(await findDevRecord(data)).toEqual({ found: "none" });
  });

  test.each(["", "{", "[]", '{"natsUrl":1}', '{"natsUrl":"nats://x","prefix":"p","pid":-5}'])(
    "that holds %j counts as none",
    async (text) => {
      const data = join(await temporaryFolder("target"), ".sluice");
      await mkdir(data);
      await writeFile(join(data, "dev.json"), text);
      expect(await findDevRecord(data)).toEqual({ found: "none" });
    },
  );

  test("is readable by people", async () => {
    const data = join(await folderWithRecord(process.pid), ".sluice");
    expect(await readFile(join(data, "dev.json"), "utf8")).toContain('\n  "natsUrl": "nats://127.0.0.1:4999"');
  });
});

describe("the environment", () => {
  test("counts empty variables as not set", () => {
    expect(readEnvironment({ SLUICE_NATS_URL: " ", SLUICE_PREFIX: "", SLUICE_LOG_LEVEL: "" })).toMatchObject({
      natsUrl: undefined,
      dashboardUrl: undefined,
      prefix: undefined,
      logLevel: undefined,
    });
  });

  test.each([{ SLUICE_LOG_LEVEL: "loud" }, { SLUICE_PREFIX: "a.b" }])("says what is wrong with %o", (env) => {
    expect(() => readEnvironment(env)).toThrow(UsageError);
    expect(() => readEnvironment(env)).toThrow(/^expected SLUICE_(LOG_LEVEL|PREFIX) to be .+, got "/);
  });
});
