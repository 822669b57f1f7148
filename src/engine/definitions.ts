/**
 * The workflow definitions of the cluster, and where their limits live: kept in the bucket, known on every node. A definition is in
 * force from its place in the events stream on. The node that coordinates takes it in when its router comes to that place: it is
 * stored, every live node has to know it, and only then later events are looked at. Who meets a version that it does not know yet (in an
 * inbox, or in a journal that it takes over) finds it in the bucket.
 *
 * What a later definition may not change is what becomes of earlier events. Where it could (a limit that moves to another partition, a
 * version that is registered again), everything before it is made durable first, so that no router ever looks at that again.
 *
 * A limit moves in two steps, since its keys must never be counted in two places. First it is said, in the bucket and to the owners of
 * all partitions, that it may move: from then on runs that come to its groups are held, wherever they come. Only then its groups are
 * counted; where there is none, it moves. Either way the bucket says so in the end, and whoever holds runs looks there until it does.
 */
import type { Logger } from "pino";
import { RequestError } from "../errors.ts";
import type { Bucket } from "../nats/bucket.ts";
import type { Connection } from "../nats/connection.ts";
import type { Names } from "../nats/subjects.ts";
import { parseWorkflowSpec } from "../workflow/parse-spec.ts";
import type { WorkflowSpec } from "../workflow/spec.ts";
import type { NodeCalls } from "./cluster/node-calls.ts";
import { DefinitionStore, type HomesState, type StoredDefinition } from "./definition-store.ts";
import type { LimitRules } from "./group.ts";
import type { OwnedPartitions } from "./owned-partitions.ts";
import type { Partition } from "./partition.ts";
import { Placement } from "./placement.ts";
import { DeposedError, type DefinitionMessage, type Router } from "./router.ts";
import { type CompiledWorkflow, Workflows } from "./workflows.ts";

export interface DefinitionsOptions {
  readonly connection: Pick<Connection, "publishAcked">;
  readonly names: Pick<Names, "definition">;
  readonly bucket: Pick<Bucket, "get" | "list" | "compareAndSet">;
  readonly owned: OwnedPartitions;
  /** How many the cluster has. */
  readonly partitions: number;
  readonly calls: Pick<NodeCalls, "serve" | "serveGather" | "toAll" | "gather" | "reads">;
  /** While this node coordinates. */
  readonly router: () => Pick<Router, "passed"> | undefined;
  /** Definitions up to `seq` are in force, and every live node knows them. */
  readonly setDefinitionsSeq: (seq: number) => Promise<void> | void;
  /** A version that was not known here. */
  readonly onDefined: (spec: WorkflowSpec) => void;
  /** Keeps what cannot be used, with the reason. */
  readonly reject: (what: string, message: { readonly data: Uint8Array }, reason: string) => Promise<void>;
  readonly logger: Logger;
}

/** What the coordinator tells the others. */
interface Notice {
  readonly name: string;
  readonly version: string;
  readonly since: number;
  /** The one before: whoever does not know that one either has more to ask for. */
  readonly after: number;
}

interface Rules {
  readonly rules: LimitRules;
  /** Of the definition that they are from. */
  readonly since: number;
}

/** Asks for the groups of a limit. `moving`: none may come into being from now on. */
interface GroupsRequest {
  readonly limit: string;
  readonly moving?: { readonly limits: readonly string[]; readonly revision: number };
}

const NOTICE = "definitions.notice";
const GROUPS = "definitions.groups";
/** How often a node that holds runs looks whether their limit has moved. */
const LOOK_MS = 250;

export class Definitions {
  readonly workflows = new Workflows();
  readonly placement: Placement;
  readonly #options: DefinitionsOptions;
  readonly #store: DefinitionStore;
  readonly #rules = new Map<string, Rules>();
  #seq = 0;
  /** Of the homes that are known: what was read earlier, and comes later, is no news. */
  #homesRevision = 0;
  #looker: NodeJS.Timeout | undefined = undefined;
  #stopped = false;
  #refreshing: Promise<void> | undefined = undefined;
  /** Begins when the one that runs has ended: that one may have missed what is asked for now. */
  #queued: Promise<void> | undefined = undefined;
  readonly #ensuring = new Map<string, Promise<CompiledWorkflow | undefined>>();

  constructor(options: DefinitionsOptions) {
    this.#options = options;
    const { bucket, partitions, calls, logger } = options;
    this.placement = new Placement(partitions);
    this.#store = new DefinitionStore(bucket, logger);
    calls.serve(NOTICE, async (notice: Notice) => {
      await this.#learn(notice);
      return null;
    });
    calls.serveGather(GROUPS, async (partitions, { limit, moving }: GroupsRequest) => {
      if (moving !== undefined) this.#learnHomes({ ...moving, homes: {}, moving: moving.limits });
      const counts = await calls.reads.all(partitions, (core) => core.groups.of(limit).length);
      return counts.reduce((sum, count) => sum + count, 0);
    });
  }

  /** Ends what waits for the bucket. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#looker);
    this.#store.stop();
  }

  // ---------------------------------------------------------------- what is known here

  /** Every definition up to this sequence of the events stream is known here. */
  get seq(): number {
    return this.#seq;
  }

  /** Resolves once everything is known here that was stored when this was called. Rejects only once stopped; nobody has to wait for it. */
  refresh(): Promise<void> {
    if (this.#refreshing === undefined) return this.#start();
    this.#queued ??= handled(
      this.#refreshing
        .catch(() => undefined)
        .then(() => {
          this.#queued = undefined;
          return this.#start();
        }),
    );
    return this.#queued;
  }

  /** The version, found in the bucket where this node has not heard of it; undefined when there is none. Rejects only once stopped. */
  ensure(name: string, version: string): CompiledWorkflow | Promise<CompiledWorkflow | undefined> {
    const known = this.workflows.get(name, version);
    if (known !== undefined) return known;
    const id = `${name} ${version}`;
    let fetching = this.#ensuring.get(id);
    if (fetching === undefined) {
      fetching = this.#fetch(name, version).finally(() => this.#ensuring.delete(id));
      this.#ensuring.set(id, fetching);
    }
    return fetching;
  }

  /** Of a limit that a partition meets for the first time. */
  rulesOf(limit: string): LimitRules | undefined {
    return this.#rules.get(limit)?.rules;
  }

  /** The rules and crons in force, for a partition that has just been recovered. */
  applyTo(partition: Partition): void {
    for (const [limit, { rules }] of this.#rules)
      if (partition.core.groups.rules.has(limit)) partition.enqueue({ type: "rules", limit, rules });
    for (const workflow of this.workflows.all)
      if (this.placement.homeOf(workflow.name) === partition.number) partition.enqueue({ type: "crons", workflow });
  }

  #start(): Promise<void> {
    this.#refreshing = handled(this.#refresh().finally(() => (this.#refreshing = undefined)));
    return this.#refreshing;
  }

  async #refresh(): Promise<void> {
    // In this order: the homes of a definition's limits are stored before it.
    const definitions = await this.#store.list();
    this.#learnHomes(await this.#store.homes());
    for (const definition of definitions) this.#define(definition);
    this.#seq = Math.max(this.#seq, definitions.at(-1)?.since ?? 0);
  }

  async #learn({ name, version, since, after }: Notice): Promise<void> {
    if (this.#seq >= since) return;
    if (this.#seq < after || (await this.#fetch(name, version)) === undefined) await this.refresh();
    else this.#seq = Math.max(this.#seq, since);
  }

  async #fetch(name: string, version: string): Promise<CompiledWorkflow | undefined> {
    const stored = await this.#store.get(name, version);
    if (stored === undefined) return undefined;
    this.#learnHomes(await this.#store.homes());
    this.#define(stored);
    return this.workflows.get(name, version);
  }

  /** In force here from now on, unless something later is. */
  #learnHomes({ homes, moving, revision }: Pick<HomesState, "homes" | "moving" | "revision">): void {
    if (revision < this.#homesRevision) return;
    this.#homesRevision = revision;
    const held = this.placement.moving.size > 0;
    this.placement.setHomes(homes);
    this.placement.setMoving(moving);
    if (held) for (const partition of this.#options.owned) partition.enqueue({ type: "homes" });
    if (moving.length > 0) this.#lookLater();
  }

  /** Until nothing moves any more: nobody has to tell this node, and none is forgotten. */
  #lookLater(): void {
    if (this.#looker !== undefined || this.#stopped) return;
    const look = async (): Promise<void> => {
      this.#learnHomes(await this.#store.homes());
      this.#looker = undefined;
      if (this.placement.moving.size > 0) this.#lookLater();
    };
    // Rejected only once stopped.
    this.#looker = setTimeout(() => void handled(look()), LOOK_MS);
  }

  /** Known from here on, and in the partitions that are owned here. */
  #define({ spec, since, registeredAt }: StoredDefinition): void {
    const { owned, onDefined } = this.#options;
    const known = this.workflows.get(spec.name, spec.version);
    if (known !== undefined && known.since >= since) return;
    this.workflows.add(spec, since, registeredAt);
    for (const { name, maxRuns, strategy } of spec.limits) {
      const before = this.#rules.get(name);
      if (before !== undefined && before.since > since) continue;
      const rules = { maxRuns, strategy };
      this.#rules.set(name, { rules, since });
      for (const partition of owned)
        if (partition.core.groups.rules.has(name)) partition.enqueue({ type: "rules", limit: name, rules });
    }
    const latest = this.workflows.latest(spec.name);
    if (latest?.spec.version === spec.version)
      owned.get(this.placement.homeOf(spec.name))?.enqueue({ type: "crons", workflow: latest });
    if (known === undefined) onDefined(spec);
  }

  // ---------------------------------------------------------------- the coordinator

  /** This node's router begins: it has to know all that was in force when the one before ended, whose writes are refused from here on. */
  async takeOffice(epoch: number): Promise<void> {
    await this.#store.claimHomes(epoch);
    await this.refresh();
  }

  /**
   * On the node that coordinates: resolves once the definition is in force, everywhere.
   * @throws RequestError (`DEFINITION_INVALID`, `LIMIT_IN_USE`, `DEFINITION_REFUSED`; 503 when it does not coordinate)
   */
  async register(spec: WorkflowSpec): Promise<{ name: string; version: string }> {
    const { connection, names, router } = this.#options;
    const operation = "workflow.register";
    const parsed = parseWorkflowSpec(spec);
    if (!parsed.ok)
      throw new RequestError(`${operation}: ${parsed.message}`, { operation, status: 400, reason: "DEFINITION_INVALID" });
    const { name, version } = parsed.spec;
    if (this.workflows.latest(name)?.spec.version === version) return { name, version };
    const reader = router();
    const unavailable = (): RequestError =>
      new RequestError(`${operation}: this engine node does not read the events`, {
        operation,
        status: 503,
        reason: "ENGINE_UNAVAILABLE",
      });
    if (reader === undefined) throw unavailable();
    const refusal = await this.#refusal(parsed.spec);
    if (refusal !== undefined)
      throw new RequestError(`${operation}: ${refusal}`, { operation, status: 409, reason: "LIMIT_IN_USE" });
    const ack = await connection.publishAcked(names.definition(name), JSON.stringify(parsed.spec));
    try {
      await reader.passed(ack.seq);
    } catch (error) {
      if (error instanceof DeposedError) throw unavailable();
      throw error;
    }
    // One that ended meanwhile has passed it without taking it in: the next router does.
    if (this.workflows.get(name, version) === undefined && router() !== reader) throw unavailable();
    if (this.workflows.get(name, version) === undefined)
      throw new RequestError(`${operation}: workflow "${name}" was not accepted; see the engine's log`, {
        operation,
        status: 409,
        reason: "DEFINITION_REFUSED",
      });
    return { name, version };
  }

  /** A definition came by in the events stream: from here on it is in force. Throws DeposedError where another router is in office. */
  async onDefinition({ text, seq, timeMs, epoch, settled }: DefinitionMessage): Promise<void> {
    const { setDefinitionsSeq, reject, logger } = this.#options;
    const parsed = parse(text);
    if (!parsed.ok) {
      logger.error({ seq, reason: parsed.message }, "a definition in the events stream cannot be used; it is passed over");
      await reject("definitions", { data: Buffer.from(text) }, parsed.message);
      return;
    }
    const { spec } = parsed;
    const { name, version } = spec;
    const latest = this.workflows.latest(name);
    const after = this.#seq;
    if (latest === undefined || latest.since < seq) {
      const { fresh, moved } = this.placement.plan(spec);
      if (moved.size > 0 || this.workflows.get(name, version) !== undefined) await settled();
      // Runs may have come since it was published, and none may come from here on.
      const homes = this.placement.toJSON();
      if (moved.size > 0) this.#learnHomes(await this.#store.putHomes(homes, epoch, [...moved.keys()]));
      const refusal = moved.size === 0 ? undefined : await this.#refusal(spec, this.#homesRevision);
      if (refusal !== undefined) {
        this.#learnHomes(await this.#store.putHomes(homes, epoch));
        logger.error({ seq, reason: refusal }, "a definition cannot be taken; it is passed over");
        await reject("definitions", { data: Buffer.from(text) }, refusal);
        return;
      }
      if (fresh.size + moved.size > 0)
        this.#learnHomes(await this.#store.putHomes({ ...homes, ...Object.fromEntries([...fresh, ...moved]) }, epoch));
      const stored = { spec, since: seq, registeredAt: Math.floor(timeMs) };
      await this.#store.put(stored);
      this.#define(stored);
      this.#seq = Math.max(after, seq);
    }
    await this.#tellAll({ name, version, since: seq, after: Math.min(after, seq) });
    await setDefinitionsSeq(seq);
    logger.info({ workflow: name, version }, "a workflow version is in force");
  }

  /** Every live node knows it, or is not to be waited for any longer. */
  async #tellAll(notice: Notice): Promise<void> {
    try {
      await this.#options.calls.toAll(NOTICE, notice);
    } catch (error) {
      this.#options.logger.error(
        { err: error, workflow: notice.name, version: notice.version },
        "an engine node does not say that it knows a definition; it is not waited for",
      );
    }
  }

  /** A limit that moves to another partition must have no group anywhere that still counts. */
  async #refusal(spec: WorkflowSpec, revision?: number): Promise<string | undefined> {
    const limits = [...this.placement.plan(spec).moved.keys()];
    for (const limit of limits) {
      const request: GroupsRequest = { limit, ...(revision !== undefined && { moving: { limits, revision } }) };
      const { parts } = await this.#options.calls.gather<number>(GROUPS, request);
      const groups = parts.reduce((sum, count) => sum + count, 0);
      if (groups > 0)
        return `workflow "${spec.name}" needs limit "${limit}" together with others, which moves all its keys to one partition; ${groups} of its groups still have runs. It is taken when they have ended; or give the limit another name`;
    }
    return undefined;
  }
}

function handled(promise: Promise<void>): Promise<void> {
  promise.catch(() => undefined);
  return promise;
}

function parse(text: string): ReturnType<typeof parseWorkflowSpec> {
  try {
    return parseWorkflowSpec(JSON.parse(text));
  } catch (error) {
    return { ok: false, message: String(error) };
  }
}
