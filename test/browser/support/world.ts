/**
 * A whole Sluice for browser tests, on free ports: a real nats-server, an engine, a worker with the workflows that are given,
 * and the dashboard, from the sources in this process. Gone at the end of the test, or of the file.
 */
import { pino } from "pino";
import { type Client, connect } from "../../../src/client/connect.ts";
import { startEngine } from "../../../src/engine/index.ts";
import { type Dashboard, type DashboardOptions, startDashboard } from "../../../src/server/index.ts";
import { startWorker } from "../../../src/worker/start-worker.ts";
import type { AnyWorkflow } from "../../../src/workflow/workflow.ts";
import { onCleanup } from "../../support/cleanup.ts";
import { startTestServer } from "../../support/nats.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

export interface WorldOptions {
  /** Of the worker; none: there is no worker. */
  readonly workflows?: readonly AnyWorkflow[];
  /** Default 100. */
  readonly slots?: number;
  /** Further options of the dashboard, such as `readOnly`. */
  readonly dashboard?: Partial<DashboardOptions>;
}

export interface DashboardWorld {
  readonly natsUrl: string;
  /** Of the dashboard: `http://127.0.0.1:<port>`, without a slash at the end. */
  readonly url: string;
  readonly client: Client;
  stopDashboard(): Promise<void>;
  /** Anew on the same port, with another token. */
  startDashboard(): Promise<void>;
  /** A further dashboard of the same world, on a port of its own. */
  addDashboard(options: Partial<DashboardOptions>): Promise<string>;
}

export async function startDashboardWorld(options: WorldOptions = {}): Promise<DashboardWorld> {
  const { workflows = [], slots = 100, dashboard: given = {} } = options;
  const logger = pino({ level: process.env["SLUICE_TEST_LOG"] ?? "error" }, pino.destination(2));
  const nats = await startTestServer();
  const common = { servers: nats.url, logger };

  const engine = await startEngine({ ...common, name: "engine-1", dataDir: await temporaryFolder("history") });
  onCleanup(async () => await engine.stop());
  if (workflows.length > 0) {
    const worker = await startWorker({ ...common, name: "worker-1", workflows, slots, drainTimeout: 200 });
    onCleanup(async () => await worker.stop());
  }
  const client = await connect(common);
  onCleanup(async () => await client.close());

  const start = async (further: Partial<DashboardOptions>): Promise<Dashboard> =>
    await startDashboard({ ...common, engine, uiDir: process.env["SLUICE_TEST_UI_DIR"], port: 0, ...given, ...further });
  let dashboard = await start({});
  onCleanup(async () => await dashboard.stop());
  const { port } = dashboard;
  return {
    natsUrl: nats.url,
    url: `http://127.0.0.1:${port}`,
    client,
    stopDashboard: async () => await dashboard.stop(),
    startDashboard: async () => {
      await dashboard.stop();
      dashboard = await start({ port });
    },
    addDashboard: async (further) => {
      const added = await start(further);
      onCleanup(async () => await added.stop());
      return `http://127.0.0.1:${added.port}`;
    },
  };
}
