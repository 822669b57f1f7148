/**
 * The cluster's map in the bucket: read, and changed by compare-and-set. It remembers the newest that it has seen and never goes back, whatever
 * a server that lags behind answers. Who may change what is not its business.
 */
import { type ClusterMap, EMPTY_MAP } from "./cluster-map.ts";

/** What it needs of `Bucket`. */
export interface MapBucket {
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- as in Bucket: the caller knows what lies there
  get<T>(key: string): Promise<{ readonly value: T; readonly revision: number } | undefined>;
  /** Writes only when the entry has that revision (0: when there is none). Undefined when another was quicker. */
  compareAndSet(key: string, value: unknown, revision: number): Promise<number | undefined>;
  delete(key: string): Promise<void>;
}

export const MAP_KEY = "map";
/** Tries of one change; each that fails was another node's success. */
const MAX_TRIES = 50;

export class MapStore {
  readonly #bucket: MapBucket;
  readonly #onChanged: (map: ClusterMap) => void;
  #map: ClusterMap = EMPTY_MAP;
  #revision = 0;

  constructor(bucket: MapBucket, onChanged: (map: ClusterMap) => void) {
    this.#bucket = bucket;
    this.#onChanged = onChanged;
  }

  /** The newest that is known. */
  get map(): ClusterMap {
    return this.#map;
  }

  async read(): Promise<ClusterMap> {
    const entry = await this.#bucket.get<ClusterMap>(MAP_KEY);
    if (entry !== undefined) this.#note(entry.value, entry.revision);
    return this.#map;
  }

  /**
   * Writes what `change` makes of the newest map; it is called again for each map that was in the way. True when it wrote, false when there is
   * nothing to change. Throws when the server is away; the change may then have been made all the same.
   */
  async change(change: (map: ClusterMap) => ClusterMap): Promise<boolean> {
    for (let tries = 1; ; tries++) {
      const next = change(this.#map);
      if (next === this.#map) return false;
      const revision = await this.#bucket.compareAndSet(MAP_KEY, next, this.#revision);
      if (revision !== undefined) {
        this.#note(next, revision);
        return true;
      }
      if (tries === MAX_TRIES) throw new Error(`the cluster's map was changed by others ${tries} times in a row`);
      await this.read();
    }
  }

  #note(map: ClusterMap, revision: number): void {
    if (revision <= this.#revision) return;
    this.#map = map;
    this.#revision = revision;
    this.#onChanged(map);
  }
}
