/**
 * What is done to a world on purpose. Each fault begins, holds for a while and heals. Faults of one lane come one after another;
 * lanes run side by side, so that faults of different kinds meet.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { ClusterServer } from "./nats-cluster.ts";
import type { ChaosProcess } from "./processes.ts";
import type { Random } from "./random.ts";
import type { LinkState, TcpProxy } from "./tcp-proxy.ts";
import type { World } from "./world.ts";

/**
 * `servers`: one NATS server, or the routes between them; a majority stays, except where the fault says so. `links`: between a node
 * and NATS servers. `processes`: engine nodes and workers. `users`: what people ask for.
 */
export type Lane = "servers" | "links" | "processes" | "users";

export interface Fault {
  readonly name: string;
  readonly lane: Lane;
  readonly weight: number;
  run(world: World, random: Random): Promise<void>;
}

/** How long a NATS server may take until it has what the others have. */
const CATCH_UP_MS = 60_000;

export const FAULTS: readonly Fault[] = [
  {
    name: "kill a NATS server",
    lane: "servers",
    weight: 3,
    run: (world, random) =>
      onServer(world, random, "killed", async (server) => {
        await server.kill();
        await delay(random.integer(200, 5_000));
        await server.start();
      }),
  },
  {
    name: "pause a NATS server",
    lane: "servers",
    weight: 2,
    run: (world, random) =>
      onServer(world, random, "paused", async (server) => {
        server.signal("SIGSTOP");
        await delay(random.integer(1_000, 8_000));
        server.signal("SIGCONT");
      }),
  },
  {
    name: "take a NATS server's disk",
    lane: "servers",
    weight: 2,
    // A server without its log may vote for one who lacks what it had acknowledged: with another one behind, data would be lost by
    // NATS itself. So all must be equal before, as always, and this one must have caught up afterwards.
    run: (world, random) =>
      onServer(world, random, "killed, its disk wiped", async (server) => {
        await server.kill();
        await server.wipe();
        await delay(random.integer(200, 3_000));
        await server.start();
      }),
  },
  {
    name: "fill a NATS server's disk",
    lane: "servers",
    weight: 2,
    run: (world, random) =>
      onServer(world, random, "has a full disk", async (server) => {
        await server.fillDisk();
        await delay(random.integer(3_000, 8_000));
        await server.kill();
        await server.start();
      }),
  },
  {
    name: "restart the NATS servers one by one",
    lane: "servers",
    weight: 1,
    run: async (world) => {
      const over = world.trouble("all workers");
      for (const server of world.nats.servers) {
        world.note(`${server.name} is restarted`);
        await server.stop();
        await server.start();
        await world.nats.caughtUp(CATCH_UP_MS);
      }
      over();
    },
  },
  {
    name: "disturb the routes between two NATS servers",
    lane: "servers",
    weight: 3,
    run: async (world, random) => {
      const [one, other] = pickTwo(random, world.nats.servers);
      await onLinks(world, random, `between ${one.name} and ${other.name}`, world.nats.routesBetween(one, other), "all workers");
    },
  },
  {
    name: "lose the majority of the NATS servers",
    lane: "servers",
    weight: 1,
    run: async (world, random) => {
      const over = world.trouble("all workers");
      const [one, other] = pickTwo(random, world.nats.servers);
      world.note(`${one.name} and ${other.name} are killed`);
      await Promise.all([one.kill(), other.kill()]);
      await delay(random.integer(1_000, 6_000));
      await Promise.all([one.start(), other.start()]);
      world.note(`${one.name} and ${other.name} are back`);
      await world.nats.caughtUp(CATCH_UP_MS);
      over();
    },
  },
  {
    name: "disturb one link of a node",
    lane: "links",
    weight: 3,
    run: async (world, random) => {
      const node = random.pick(world.processes);
      const link = random.pick(node.links.proxies);
      await onLinks(world, random, link.name, [link], node);
    },
  },
  {
    name: "disturb all links of a node",
    lane: "links",
    weight: 3,
    run: async (world, random) => {
      const node = random.pick(world.processes);
      await onLinks(world, random, `of ${node.name} to all NATS servers`, node.links.proxies, node);
    },
  },
  {
    name: "kill an engine node",
    lane: "processes",
    weight: 3,
    run: (world, random) => killed(world, random, world.engines),
  },
  {
    name: "kill a worker",
    lane: "processes",
    weight: 2,
    run: (world, random) => killed(world, random, world.workers),
  },
  {
    name: "pause a node",
    lane: "processes",
    weight: 4,
    run: async (world, random) => {
      const node = random.pick(random.chance(0.7) ? world.engines : world.workers);
      const over = world.trouble(node);
      const ms = random.integer(500, 7_000);
      world.note(`${node.name} is paused for ${ms} ms`);
      node.signal("SIGSTOP");
      await delay(ms);
      node.signal("SIGCONT");
      world.note(`${node.name} goes on`);
      over();
    },
  },
  {
    name: "restart nodes one by one",
    lane: "processes",
    weight: 2,
    run: async (world, random) => {
      for (const node of random.chance(0.5) ? world.engines : world.workers) {
        const over = world.trouble(node);
        world.note(`${node.name} is restarted`);
        await node.stop().catch((error: Error) => world.note(`${node.name} did not stop: ${error.message.split("\n", 1)[0]}`));
        node.launch();
        over();
        await delay(random.integer(200, 1_500));
      }
    },
  },
  {
    name: "have a clock jump",
    lane: "processes",
    weight: 2,
    run: async (world, random) => {
      const node = random.pick(random.chance(0.8) ? world.engines : world.workers);
      const ms = random.integer(1_000, random.chance(0.5) ? 10_000 : 600_000) * (random.chance(0.5) ? 1 : -1);
      world.note(`the clock of ${node.name} jumps by ${ms} ms`);
      await node.shiftClock(ms);
      await delay(random.integer(1_000, 6_000));
      await node.shiftClock(0);
      world.note(`the clock of ${node.name} is right again`);
    },
  },
  {
    name: "change limits",
    lane: "users",
    weight: 3,
    run: async (world, random) => {
      world.note(`limits were changed: ${await world.load.changeLimits(random, random.integer(1, 5))}`);
    },
  },
  {
    name: "cancel many runs",
    lane: "users",
    weight: 2,
    run: async (world, random) => {
      const runs = [...world.observer.live].filter(() => random.chance(0.5));
      world.note(`${runs.length} runs are cancelled`);
      if (runs.length > 0) await world.load.cancel(runs.slice(0, 1_000));
    },
  },
  {
    name: "pause a group",
    lane: "users",
    weight: 2,
    run: async (world, random) => {
      world.note(`${await world.load.pause(random)} is paused`);
      await delay(random.integer(500, 4_000));
      await world.load.resume();
      world.note("paused groups were told to go on");
    },
  },
];

async function onServer(
  world: World,
  random: Random,
  what: string,
  act: (server: ClusterServer) => Promise<void>,
): Promise<void> {
  // One at a time: with two of three behind, NATS itself may lose what it has acknowledged.
  await world.nats.caughtUp(CATCH_UP_MS);
  const over = world.trouble("all workers");
  const server = random.pick(world.nats.servers);
  world.note(`${server.name} is ${what}`.replace("is has", "has"));
  await act(server);
  world.note(`${server.name} is back`);
  await untilCaughtUp(world, server);
  world.note(`${server.name} has caught up`);
  over();
}

/** A nats-server that comes back may stay behind for good ("not current with the meta leader"): an operator would start it again. */
async function untilCaughtUp(world: World, server: ClusterServer): Promise<void> {
  try {
    await world.nats.caughtUp(CATCH_UP_MS);
  } catch (error) {
    world.note(`${server.name} does not catch up, and is restarted: ${(error as Error).message}`);
    await server.stop();
    await server.start();
    await world.nats.caughtUp(CATCH_UP_MS);
  }
}

async function onLinks(
  world: World,
  random: Random,
  where: string,
  links: readonly TcpProxy[],
  whose: ChaosProcess | "all workers",
): Promise<void> {
  const states: LinkState[] = [
    { mode: "cut" },
    { mode: "blackhole" },
    { mode: "slow", latencyMs: random.integer(20, 800), bytesPerSecond: random.integer(20_000, 500_000) },
  ];
  const state = random.pick(states);
  const over = world.trouble(whose);
  world.note(
    `the link ${where} is ${state.mode}${state.mode === "slow" ? ` (${state.latencyMs} ms, ${state.bytesPerSecond} B/s)` : ""}`,
  );
  for (const link of links) link.set(state);
  await delay(random.integer(500, 8_000));
  for (const link of links) link.heal();
  world.note(`the link ${where} is whole`);
  over();
}

async function killed(world: World, random: Random, nodes: readonly ChaosProcess[]): Promise<void> {
  const node = random.pick(nodes);
  const over = world.trouble(node);
  world.note(`${node.name} is killed`);
  await node.kill();
  await delay(random.integer(0, 4_000));
  node.launch();
  world.note(`${node.name} is started`);
  over();
}

function pickTwo(random: Random, servers: readonly ClusterServer[]): [ClusterServer, ClusterServer] {
  const one = random.pick(servers);
  return [one, random.pick(servers.filter((server) => server !== one))];
}
