/**
 * The machines that the visualizer draws, as definitions: of every version of every workflow, of every strategy of a group, and those of
 * the engine nodes. By name, or by the hash that records, groups and populations name.
 */
import { nodeLife } from "../../machines/cluster/node-life.ts";
import { partitionOwnership } from "../../machines/cluster/partition-ownership.ts";
import { groupMachine } from "../../machines/group/index.ts";
import { runMachineConfig } from "../../machines/run/compile.ts";
import { RequestError, WorkflowNotFoundError } from "../errors.ts";
import type { MachineDefinition } from "../protocol/record.ts";
import type { Operations } from "../protocol/view.ts";
import { describeMachine } from "../step/definition.ts";
import { Strategy, type WorkflowSpec } from "../workflow/spec.ts";
import type { HistoryPort } from "./history-port.ts";
import type { Workflows } from "./workflows.ts";

export interface MachineSources {
  readonly workflows: Workflows;
  readonly history: () => HistoryPort | undefined;
}

const ofSpecs = new WeakMap<WorkflowSpec, MachineDefinition>();
const ofStrategies = new Map<Strategy, MachineDefinition>();

/** The run machine of a workflow version. */
export function workflowMachine(spec: WorkflowSpec): MachineDefinition {
  let found = ofSpecs.get(spec);
  if (found === undefined) {
    found = { name: spec.name, ...describeMachine({ id: "run", config: runMachineConfig(spec) }) };
    ofSpecs.set(spec, found);
  }
  return found;
}

/** The machine of every group with this strategy. */
export function strategyMachine(strategy: Strategy): MachineDefinition {
  let found = ofStrategies.get(strategy);
  if (found === undefined) {
    found = { name: strategy, ...describeMachine(groupMachine(strategy)) };
    ofStrategies.set(strategy, found);
  }
  return found;
}

export type ClusterMachine = NonNullable<Operations["machine.get"]["request"]["machine"]>;

const CLUSTER = { node: nodeLife, ownership: partitionOwnership } as const;
const ofCluster = new Map<ClusterMachine, MachineDefinition>();

/** The machine of an engine node's life, or of a partition's ownership as one node sees it. */
export function clusterMachine(machine: ClusterMachine): MachineDefinition {
  let found = ofCluster.get(machine);
  if (found === undefined) {
    found = { name: machine, ...describeMachine(CLUSTER[machine]) };
    ofCluster.set(machine, found);
  }
  return found;
}

/** Versions that this node does not know any more may be known to the history: its runs were of them. */
export async function getMachine(
  { hash, workflow, version }: Operations["machine.get"]["request"],
  { workflows, history }: MachineSources,
): Promise<MachineDefinition> {
  if (hash !== undefined) {
    for (const strategy of Object.values(Strategy)) if (strategyMachine(strategy).hash === hash) return strategyMachine(strategy);
    for (const machine of ["node", "ownership"] as const)
      if (clusterMachine(machine).hash === hash) return clusterMachine(machine);
    for (const { name } of workflows.all)
      for (const { spec } of workflows.versionsOf(name)) if (workflowMachine(spec).hash === hash) return workflowMachine(spec);
    const recorded = await history()?.machine({ hash });
    if (recorded !== undefined) return recorded;
    throw refused(404, "MACHINE_NOT_FOUND", `no workflow version and no group has a machine with hash ${JSON.stringify(hash)}`);
  }
  if (workflow === undefined)
    throw refused(400, "BAD_REQUEST", "expected 'hash', or 'machine', or 'workflow' and perhaps 'version'");
  const known = version === undefined ? workflows.latest(workflow) : workflows.get(workflow, version);
  if (known !== undefined) return workflowMachine(known.spec);
  const recorded = version === undefined ? undefined : await history()?.machine({ workflow, version });
  if (recorded !== undefined) return recorded;
  if (workflows.latest(workflow) === undefined) throw new WorkflowNotFoundError(workflow);
  throw refused(404, "VERSION_NOT_FOUND", `workflow "${workflow}" is not known in version ${JSON.stringify(version)}`);
}

function refused(status: number, reason: string, message: string): RequestError {
  return new RequestError(`machine.get: ${message}`, { operation: "machine.get", status, reason });
}
