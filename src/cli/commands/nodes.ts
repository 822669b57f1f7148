/** `sluice nodes`: the engine nodes of the cluster, and which partitions they own. */
import type { Command } from "commander";
import type { NodeView } from "../../protocol/view.ts";
import type { Cli, ClientOptions } from "../cli.ts";
import { formatAge, statusCell } from "../format.ts";
import { withClient } from "../options.ts";
import { collect } from "./paging.ts";

export function addNodesCommands(program: Command, cli: Cli): void {
  const nodes = program.command("nodes").description("list the engine nodes");
  withClient(nodes.command("list").description("the engine nodes, with the partitions that they own")).action(
    (options: ClientOptions) =>
      cli.withClient(options, async (client) => {
        const page = await collect(client.nodes.list(), "all");
        if (options.json === true) return cli.json(page);
        const now = cli.now();
        cli.table(
          [
            { title: "ID" },
            { title: "NAME" },
            { title: "STATE" },
            { title: "ROLE" },
            { title: "PARTITIONS" },
            { title: "LAST SEEN" },
            { title: "JOINED" },
            { title: "HOST" },
            { title: "PID", align: "right" },
            { title: "VERSION" },
          ],
          page.items.map((node) => [
            node.id,
            node.name,
            statusCell(node.state),
            node.coordinator ? "coordinator" : "",
            formatPartitions(node.partitions),
            formatAge(node.lastSeenAt, now),
            formatAge(node.joinedAt, now),
            node.host,
            node.pid,
            node.sluiceVersion,
          ]),
          "no engine nodes",
        );
      }),
  );
}

/** `0 1 3(refused) 5(taking)`: those that are not at work say so, and those whose journal NATS does not take. */
function formatPartitions(partitions: NodeView["partitions"]): string {
  return partitions
    .map(({ partition, state, refused }) => {
      if (refused) return `${partition}(refused)`;
      return state === "owned" ? `${partition}` : `${partition}(${state})`;
    })
    .join(" ");
}
