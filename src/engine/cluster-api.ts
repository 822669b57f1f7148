/** The operations on the cluster itself: its engine nodes, their machines, and definitions, which the coordinator puts in force. */
import { RequestError } from "../errors.ts";
import type { MachineDefinition } from "../protocol/record.ts";
import type { NodeView, Page } from "../protocol/view.ts";
import type { WorkflowSpec } from "../workflow/spec.ts";
import type { NodeCalls } from "./cluster/node-calls.ts";
import { type ClusterMembers, NodeViews } from "./cluster/node-views.ts";
import { type ClusterMachine, clusterMachine } from "./machine-definitions.ts";

export interface ClusterApiOptions {
  readonly calls: NodeCalls;
  readonly members: ClusterMembers;
  /** Whether the server does not take the journal of a partition that is here. */
  readonly isRefused: (partition: number) => boolean;
  readonly register: (spec: WorkflowSpec) => Promise<Version>;
}

interface Version {
  readonly name: string;
  readonly version: string;
}

const REGISTER = "definitions.register";

export class ClusterApi {
  readonly #options: ClusterApiOptions;
  readonly #nodes: NodeViews;

  constructor(options: ClusterApiOptions) {
    this.#options = options;
    const { calls, members, isRefused, register } = options;
    this.#nodes = new NodeViews(calls, members, isRefused);
    calls.serve(REGISTER, async ({ spec }: { readonly spec: WorkflowSpec }): Promise<Version> => {
      if (!calls.isCoordinator)
        // It is asked again.
        throw new RequestError("this engine node is not the coordinator", {
          operation: "workflow.register",
          status: 503,
          reason: "ENGINE_UNAVAILABLE",
        });
      return register(spec);
    });
  }

  /** Resolves once it is in force, and so known to every node. */
  register(spec: WorkflowSpec): Promise<Version> {
    return this.#options.calls.toCoordinator<Version>(REGISTER, { spec });
  }

  async nodes(): Promise<Page<NodeView>> {
    return { items: await this.#nodes.list() };
  }

  /** With how many there are in each state: of every node one `node`, and one `ownership` for each role. */
  async machine(machine: ClusterMachine): Promise<MachineDefinition> {
    const nodes = await this.#nodes.list();
    const counts: Record<string, number> = {};
    const count = (state: string, by = 1): void => {
      if (by > 0) counts[`${machine}.${state}`] = (counts[`${machine}.${state}`] ?? 0) + by;
    };
    for (const { state, coordinatorState, partitions } of nodes) {
      if (machine === "node") {
        // Whoever is silent says nothing else.
        count(state === "silent" ? "member" : state);
        continue;
      }
      const modes = [...partitions.map((one) => one.state), ...(coordinatorState === undefined ? [] : [coordinatorState])];
      for (const mode of modes) count(mode);
      count("elsewhere", this.#options.calls.partitions + 1 - modes.length);
    }
    return { ...clusterMachine(machine), counts };
  }
}
