/**
 * What `docker/` holds, without Docker: the files are linted, and what they run is run as processes, with the same commands, environment,
 * configurations and certificates.
 */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { validate } from "dockerfile-utils";
import { pino } from "pino";
import { beforeAll, describe, expect, it } from "vitest";
import { connect } from "../../src/index.ts";
import { onCleanup } from "../support/cleanup.ts";
import { type ComposeFile, type LocalService, localServices, readCompose } from "../support/compose.ts";
import { natsServerBinary } from "../support/nats.ts";
import { PROJECT_FOLDER, startCli, startProcess, type TestProcess } from "../support/process.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor, within } from "../support/wait.ts";

const DOCKER = join(PROJECT_FOLDER, "docker");
const SINGLE = "compose.yaml";
const CLUSTER = "compose.cluster.yaml";
const silent = pino({ level: "silent" });

let setup: string;
let env: Record<string, string>;

beforeAll(async () => {
  setup = await temporaryFolder("docker");
  execFileSync("sh", [join(DOCKER, "setup.sh")], { env: { ...process.env, SLUICE_SETUP_DIR: setup }, stdio: "ignore" });
  env = Object.fromEntries(
    readFileSync(join(setup, ".env"), "utf8")
      .trim()
      .split("\n")
      .map((line) => line.split("=") as [string, string]),
  );
  // `sync_interval` is known since 2.10.
  if (!syncsAlways()) env["NATS_DURABILITY"] = "replicated";
});

function syncsAlways(): boolean {
  const version = execFileSync(natsServerBinary(), ["--version"], { encoding: "utf8" }).match(/v(\d+)\.(\d+)/);
  return Number(version?.[1]) > 2 || Number(version?.[2]) >= 10;
}

describe("the Dockerfile", () => {
  const text = readFileSync(join(DOCKER, "Dockerfile"), "utf8");
  const lines = text
    .replaceAll(/\\\n\s*/g, "")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
  const args = (instruction: string): string[] =>
    lines.filter((line) => line.startsWith(`${instruction} `)).map((line) => line.slice(instruction.length + 1).trim());

  it("has no fault that a linter finds", () => {
    expect(validate(text)).toEqual([]);
  });

  it("builds in several stages on a pinned base, and runs as a user without rights", () => {
    expect(args("FROM").length).toBeGreaterThan(1);
    for (const from of args("FROM")) expect(from).toMatch(/^[\w./-]+:\d+\.\d+\.\d+\S*( AS \w+)?$/);
    const last = lines.slice(lines.findLastIndex((line) => line.startsWith("FROM ")));
    const user = last.findIndex((line) => line.startsWith("USER "));
    expect(last[user]).not.toMatch(/root|\b0\b/);
    expect(user).toBeLessThan(last.findIndex((line) => line.startsWith("ENTRYPOINT ")));
  });

  it("copies only what is there and what is not ignored, and everything that the build needs", () => {
    const ignored = readFileSync(join(DOCKER, "Dockerfile.dockerignore"), "utf8");
    expect(ignored).toMatch(/^\*$/m);
    for (const copy of args("COPY").filter((line) => !line.startsWith("--from"))) {
      for (const source of copy.split(/\s+/).slice(0, -1)) {
        expect(existsSync(join(PROJECT_FOLDER, source)), source).toBe(true);
        expect(ignored.split("\n"), source).toContain(`!${source}`);
      }
    }
    for (const needed of ["src", "machines", "examples", "scripts", "package-lock.json", "tsconfig.build.json"])
      expect(
        args("COPY").some((copy) => copy.split(/\s+/).includes(needed)),
        needed,
      ).toBe(true);
    expect(text).toContain("/app/dist/src/cli/main.js");
  });
});

describe.each([SINGLE, CLUSTER])("%s", (file) => {
  let compose: ComposeFile;
  beforeAll(() => {
    compose = readCompose(file, env);
  });

  it("asks for the set-up where it is missing", () => {
    expect(() => readCompose(file, {})).toThrow(/run docker\/setup\.sh first/);
  });

  it("pins its images, keeps its data in volumes, opens ports on this machine only, restarts and drains everything", () => {
    for (const [name, service] of Object.entries(compose.services)) {
      if (service.image === "sluice") {
        expect(service.build, name).toEqual({ context: "..", dockerfile: "docker/Dockerfile" });
      } else expect(service.image, name).toMatch(/:\d+\.\d+\.\d+/);
      for (const volume of service.volumes ?? []) {
        const [source = "", , mode] = volume.split(":");
        if (source.startsWith("./nats/")) expect(existsSync(join(DOCKER, source)), source).toBe(true);
        if (source.startsWith(".")) expect(mode, volume).toBe("ro");
        else expect(compose.volumes, volume).toHaveProperty(source);
      }
      for (const port of service.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:/);
      for (const needed of Object.keys(service.depends_on ?? {})) expect(compose.services).toHaveProperty(needed);
      expect(service.restart, name).toBe("unless-stopped");
      expect(service.stop_grace_period, name).toBeDefined();
      if (service.command[0] === "worker") expect(service.healthcheck?.disable, name).toBe(true);
    }
  });
});

it("the cluster has three NATS servers, two engine nodes and two worker nodes", () => {
  const commands = Object.values(readCompose(CLUSTER, env).services).map(({ command }) => command[0]);
  expect(commands.toSorted()).toEqual(["--config", "--config", "--config", "engine", "engine", "worker", "worker"]);
});

describe("what the compose files run, as processes", () => {
  it("runs the examples on one machine, and stops in order", () => runs(SINGLE));
  it("runs the examples on a cluster, and goes on without one of its NATS servers", () => runs(CLUSTER));
});

async function runs(file: string): Promise<void> {
  const root = await temporaryFolder("containers");
  const services = await localServices(readCompose(file, env), { setup, root });
  const started = new Map<string, TestProcess>();
  const nats = services.filter(({ service }) => service.image !== "sluice");
  for (const one of nats) started.set(one.name, startNats(one, root));
  await Promise.all(nats.map((one) => healthy(one)));

  for (const one of services.filter(({ service }) => service.image === "sluice"))
    started.set(one.name, startCli(one.command, { cwd: root, env: { ...one.env, SLUICE_CACHE_DIR: undefined } }));
  const engines = services.filter(({ command }) => command[0] === "engine");
  await waitFor(() => engines.some(({ name }) => started.get(name)?.stderr.includes("the engine is ready")), {
    timeoutMs: 40_000,
    what: "an engine to be ready",
  }).catch((error: Error) => {
    throw new Error(
      `${error.message}\n${[...started].map(([name, process]) => `${name}: ${process.stderr.slice(-2_000)}`).join("\n")}`,
    );
  });
  for (const engine of engines) await imageIsHealthy(engine.port(7788));
  await Promise.all(
    services
      .filter(({ command }) => command[0] === "worker")
      .map(async ({ name }) => await started.get(name)?.waitForOutput("takes work")),
  );

  const operator = await connect({
    servers: nats.map((one) => `tls://localhost:${one.port(4222)}`),
    user: "operator",
    pass: env["SLUICE_OPERATOR_PASSWORD"],
    inboxPrefix: "_INBOX_operator",
    tls: { caFile: join(setup, "certs/ca.pem") },
    timeout: "30s",
    logger: silent,
  });
  onCleanup(() => operator.close());
  const event = await operator.publish("per-user-test", { user_id: "ada" });
  expect(event.seq).toBeGreaterThan(0);
  const run = await operator.run("per-user-demo", { user_id: "grace" });
  await within(30_000, "the run", run.result());
  if (file === CLUSTER) {
    await started.get("nats-3")?.kill();
    const ended = async (): Promise<number> =>
      (await operator.runs.count({ workflow: "per-user-demo", status: "SUCCEEDED" })).count;
    await operator.run("per-user-demo", { user_id: "alan" });
    await waitFor(async () => (await ended()) === 3, { timeoutMs: 30_000, intervalMs: 100, what: "a run on two servers" });
  }
  await operator.close();
  for (const [name, { stderr }] of started) expect(stderr, name).not.toMatch(/does not let this user|[Vv]iolation/);

  for (const { name } of services.toReversed()) {
    const ended = await started.get(name)?.stop();
    if (!(file === CLUSTER && name === "nats-3")) expect(ended, name).toMatchObject({ code: name.startsWith("nats") ? 1 : 0 });
  }
}

function startNats(one: LocalService, root: string): TestProcess {
  return startProcess(natsServerBinary(), one.command, { cwd: root, env: one.env });
}

/** As the compose file's health check of a NATS server does. */
async function healthy(one: LocalService): Promise<void> {
  const url = one.service.healthcheck?.test?.at(-1)?.replace(":8222", `:${one.port(8222)}`) ?? "";
  expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/healthz/);
  await waitFor(async () => (await fetch(url)).ok, { timeoutMs: 20_000, what: `${one.name} to be healthy` });
}

/** As the image's health check does. */
async function imageIsHealthy(port: number): Promise<void> {
  const line = readFileSync(join(DOCKER, "Dockerfile"), "utf8").match(/^\s+CMD (\[.*\])$/m)?.[1];
  const [command = "", ...args] = JSON.parse(line ?? "[]") as string[];
  const check = async (to: number): Promise<number | null> => {
    const child = spawn(
      command,
      args.map((arg) => arg.replace(":7788", `:${to}`)),
    );
    return await new Promise((resolve) => child.on("exit", resolve));
  };
  await waitFor(async () => (await check(port)) === 0, { what: "the image's health check to succeed" });
  expect(await check(1)).toBe(1);
}
