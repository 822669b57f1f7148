/** Who owns what, as a node knows it now: what requests, transfers and the slots of workers need of the cluster's map. */
export interface OwnershipView {
  /** This node's id; a new one after each time that it was taken for dead. */
  readonly self: string;
  /** Owner of the partition; undefined while it is on its way from one to another. */
  ownerOf(partition: number): string | undefined;
  /** The node that reads the events and gives out the slots of workers; undefined while there is none. */
  readonly coordinator: string | undefined;
  /** The members, this node among them, by id. */
  readonly nodes: readonly string[];
  /** Called after each change of the map. Returns what ends that. */
  onChanged(listener: () => void): () => void;
}
