/**
 * A machine as a chart: what there is to draw, in which order, and what is written on it. Plain data, made once per
 * definition; which states are active, or how large a box is, is none of its business. Ids are those of
 * `src/protocol/record.ts`.
 */

export type NodeKind = "atomic" | "compound" | "parallel" | "final" | "history";
/** What a colour may stand for. */
export type Tone = "plain" | "ok" | "error" | "timer" | "always";

export interface ChartInvoke {
  /** Absent where XState made one up. */
  readonly id?: string;
  readonly src: string;
}

export interface ChartNode {
  /** XState's node id. */
  readonly id: string;
  readonly key: string;
  readonly kind: NodeKind;
  readonly parent?: string;
  /** In the order in which they are drawn: depth first from the initial state. */
  readonly children: readonly string[];
  /** 0 for the root. */
  readonly depth: number;
  readonly history?: "shallow" | "deep";
  /** Of a compound state. */
  readonly initial?: string;
  readonly initialActions: readonly string[];
  /** Where a history state leads that remembers nothing. */
  readonly historyDefault: readonly string[];
  readonly entry: readonly string[];
  readonly exit: readonly string[];
  readonly invokes: readonly ChartInvoke[];
  readonly tags: readonly string[];
  readonly description?: string;
  /** How a run that ends here has ended; of final states with a telling name. */
  readonly ending?: "ok" | "error" | "cancelled";
  /** Ids of the edges that leave it, in the order of the definition; those without targets are written inside of it. */
  readonly edges: readonly string[];
  /** Sibling regions that have to be done before this one begins: the steps of a workflow. */
  readonly waitsFor: readonly string[];
  /** What is wrong with the definition here, for people. */
  readonly problems: readonly string[];
}

export interface ChartEdge {
  /** `<source id>|<event type>|<index>` */
  readonly id: string;
  readonly source: string;
  /** As XState has it. */
  readonly eventType: string;
  /** For people: `after 30s`, `done: retrieve`, `always`, `run.admitted`. */
  readonly label: string;
  /** The same without what its place in the chart says already: `done`, `step.started` within the region `fetch`. */
  readonly short: string;
  readonly tone: Tone;
  readonly guard?: string;
  readonly actions: readonly string[];
  readonly description?: string;
  /** Empty: it stays where it is. */
  readonly targets: readonly string[];
  /** Its only target is its source. */
  readonly self: boolean;
  readonly reenter: boolean;
  /** Nothing happens, and ancestors don't get to see the event. */
  readonly forbidden: boolean;
  /** Leads back towards the initial state. */
  readonly back: boolean;
  /** In ms, or the name of a delay that is computed. */
  readonly delay?: number | string;
  readonly problems: readonly string[];
}

export interface ChartModel {
  readonly root: string;
  readonly name: string;
  /** In drawing order, parents first. */
  readonly nodes: ReadonlyMap<string, ChartNode>;
  readonly edges: ReadonlyMap<string, ChartEdge>;
  /** False for what is not a machine (a promise, a callback): a single state is drawn. */
  readonly isMachine: boolean;
  /** Of the definition as a whole. */
  readonly problems: readonly string[];
}

export function nodeOf(model: ChartModel, id: string): ChartNode {
  const node = model.nodes.get(id);
  if (node === undefined) throw new TypeError(`expected the id of a state of "${model.name}", got ${id}`);
  return node;
}

/** From the node itself to the root. */
export function lineage(model: ChartModel, id: string): ChartNode[] {
  const line: ChartNode[] = [];
  for (let node = model.nodes.get(id); node !== undefined; node = node.parent ? model.nodes.get(node.parent) : undefined) {
    line.push(node);
  }
  return line;
}
