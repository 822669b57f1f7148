/**
 * The operations on groups: one at a time from its owner, lists over all nodes with the most pressed first, its machine. Changes go
 * through the inbox of the group's partition.
 */
import * as contexts from "../../machines/group/context.ts";
import type { GroupContext } from "../../machines/group/contract.ts";
import { groupMachine, groupState } from "../../machines/group/index.ts";
import { RequestError } from "../errors.ts";
import type { Command } from "../protocol/commands.ts";
import type { GroupMachineView } from "../protocol/record.ts";
import type { GroupView, Operation, Operations } from "../protocol/view.ts";
import type { NodeCalls } from "./cluster/node-calls.ts";
import type { LimitRules } from "./group.ts";
import { strategyMachine } from "./machine-definitions.ts";
import { mergePages } from "./merge-pages.ts";
import type { Partition } from "./partition.ts";
import type { PartitionCore } from "./partition-core.ts";
import type { Placement } from "./placement.ts";
import { byPressure, type Place, type PressedGroup } from "./pressed-groups.ts";
import { TopGroups } from "./top-groups.ts";
import { contextView, groupView, SHOWN_RUNS } from "./views.ts";
import type { Workflows } from "./workflows.ts";

export interface GroupSources {
  readonly workflows: Workflows;
  readonly placement: () => Placement;
  readonly calls: NodeCalls;
  readonly send: (partition: number, command: Command) => Promise<void>;
  /** What the groups of one answer may take, in bytes of JSON. */
  readonly maxReplyBytes: () => number;
}

type ListRequest = Operations["group.list"]["request"];

/** What one node has of a list. */
interface GroupsPart {
  readonly total: number;
  readonly groups: readonly PlacedView[];
  readonly more: boolean;
}

interface PlacedView {
  readonly place: PlaceJson;
  readonly view: GroupView;
}

/** Since when nobody waits is not a number in JSON. */
type PlaceJson = readonly [perSlot: number, sinceMs: number | null, taken: number, id: string];

interface OneRequest {
  readonly partition: number;
  readonly limit: string;
  readonly key: string;
}

const DEFAULT_PAGE = 50;
const LIST = "groups.list";
const VIEW = "groups.view";
const MACHINE = "groups.machine";
/** How many ids of runs a group shows in a list: fewer where the page would be too much for one message. */
const SHOWN_IN_LISTS = [SHOWN_RUNS, 30, 10, 0];

export class GroupViews {
  readonly #sources: GroupSources;

  constructor(sources: GroupSources) {
    this.#sources = sources;
    const { calls } = sources;
    calls.serveGather(LIST, (partitions, request: ListRequest) => this.#part(partitions, request));
    calls.serve(VIEW, (request: OneRequest) => this.#read(request, (context, view) => view(context)));
    calls.serve(MACHINE, (request: OneRequest) => this.#read(request, machineView));
  }

  /**
   * Most pressed first. A page begins after the place that the last group of the page before had then: groups that have moved
   * meanwhile may be missing or come again, and every page but the last is full.
   */
  async list(request: ListRequest): Promise<Operations["group.list"]["reply"]> {
    const { size = DEFAULT_PAGE, cursor } = request;
    if (cursor !== undefined) decodePlace(cursor); // refused here, before others are asked
    const { parts } = await this.#sources.calls.gather<GroupsPart>(LIST, { ...request, size });
    const places = new Map<PlacedView, Place>();
    const placeOf = (one: PlacedView): Place => {
      let place = places.get(one);
      if (place === undefined) places.set(one, (place = fromJson(one.place)));
      return place;
    };
    const page = mergePages(
      parts.map(({ groups, more }) => ({ items: groups, more })),
      (a, b) => byPressure(placeOf(a), placeOf(b)),
      size,
    );
    const last = page.items.at(-1);
    const views = page.items.map(({ view }) => view);
    return {
      // What one node sends fits already.
      items: parts.length === 1 ? views : cutViews(views, this.#sources.maxReplyBytes()),
      total: parts.reduce((sum, { total }) => sum + total, 0),
      ...(page.more && last !== undefined && { next: encodePlace(last.place) }),
    };
  }

  async #part(partitions: readonly Partition[], { limit, text, size = DEFAULT_PAGE, cursor }: ListRequest): Promise<GroupsPart> {
    const after = cursor === undefined ? undefined : decodePlace(cursor);
    const part = text?.toLowerCase();
    const lists = await this.#sources.calls.reads.all(partitions, ({ groups }) => {
      const top = new TopGroups(size + 1, after);
      if (limit === undefined && part === undefined) {
        // Whole levels of pressure at a time: most groups are not looked at.
        for (const level of groups.pressed.levels()) {
          for (const group of level) top.offer(group);
          if (top.full) break;
        }
        if (!top.full) for (const group of groups) if (group.waitingPerSlot === 0) top.offer(group);
        return { total: groups.size, top: top.take() };
      }
      let total = 0;
      for (const group of groups) {
        if (limit !== undefined && group.limit !== limit) continue;
        if (part !== undefined && !group.key.toLowerCase().includes(part)) continue;
        total++;
        top.offer(group);
      }
      return { total, top: top.take() };
    });
    const found = lists.flatMap(({ top }) => top).sort(byPressure);
    return {
      total: lists.reduce((sum, { total }) => sum + total, 0),
      groups: viewsThatFit(found.slice(0, size), this.#sources.maxReplyBytes()),
      more: found.length > size,
    };
  }

  async get(limit: string, key: string, operation: Operation = "group.get"): Promise<GroupView> {
    return this.#ofOwner<GroupView>(VIEW, limit, key, operation);
  }

  machine(limit: string, key: string): Promise<GroupMachineView> {
    return this.#ofOwner<GroupMachineView>(MACHINE, limit, key, "group.machine");
  }

  async set(command: Extract<Command, { type: "group" }>, operation: Operation): Promise<GroupView> {
    const { limit, key } = command;
    if (this.#rulesOf(limit) === undefined) throw noLimit(limit, operation);
    await this.#sources.send(this.#sources.placement().ofGroup(limit, key), command);
    return this.get(limit, key, operation);
  }

  /** Throws LIMIT_NOT_FOUND where no workflow has such a limit. */
  check(limit: string, operation: Operation): void {
    if (this.#rulesOf(limit) === undefined) throw noLimit(limit, operation);
  }

  async #ofOwner<T>(what: string, limit: string, key: string, operation: Operation): Promise<T> {
    const partition = this.#sources.placement().ofGroup(limit, key);
    const seen = await this.#sources.calls.toOwner<T | null>(partition, what, { partition, limit, key });
    if (seen === null) throw noLimit(limit, operation);
    return seen;
  }

  /** Here; a group that nobody uses is as a newcomer would find it. null: there is no such limit. */
  #read<T>(
    { partition, limit, key }: OneRequest,
    read: (context: GroupContext, view: (context: GroupContext) => GroupView) => T,
  ): Promise<T | null> {
    return this.#sources.calls.reads.read(partition, ({ groups }: PartitionCore) => {
      const group = groups.find(limit, key);
      if (group !== undefined) return read(group.context, () => groupView(group, Date.now()));
      const rules = groups.rules.get(limit) ?? this.#rulesOf(limit);
      if (rules === undefined) return null;
      const { maxRuns, strategy } = rules;
      return read(contexts.createContext({ limit, key, maxRuns, strategy }), (context) => contextView(context, 0));
    });
  }

  #rulesOf(limit: string): LimitRules | undefined {
    for (const workflow of this.#sources.workflows.all)
      for (const spec of workflow.spec.limits) if (spec.name === limit) return spec;
    return undefined;
  }
}

function machineView(context: GroupContext, view: (context: GroupContext) => GroupView): GroupMachineView {
  const { id } = groupMachine(context.strategy);
  return {
    machine: strategyMachine(context.strategy).hash,
    group: view(context),
    active: [id, `${id}.${groupState(context)}`],
    counts: {
      active: context.active.size,
      stopping: context.stopping.size,
      waiting: context.waiting.size,
      held: context.held.size,
    },
  };
}

/** As many of their runs as one message takes. */
function viewsThatFit(page: readonly PressedGroup[], maxBytes: number): readonly PlacedView[] {
  const now = Date.now();
  let views: readonly PlacedView[] = [];
  for (const shown of SHOWN_IN_LISTS) {
    views = page.map((place) => ({ place: toJson(place), view: groupView(place.group, now, shown) }));
    if (Buffer.byteLength(JSON.stringify(views)) < maxBytes) break;
  }
  return views;
}

/** The same for views that nodes have cut to what each may send. */
function cutViews(views: readonly GroupView[], maxBytes: number): readonly GroupView[] {
  let cut = views;
  for (const shown of SHOWN_IN_LISTS) {
    if (shown < SHOWN_RUNS)
      cut = views.map(({ stoppingRuns, ...view }) => ({
        ...view,
        activeRuns: view.activeRuns.slice(0, shown),
        waitingRuns: view.waitingRuns.slice(0, shown),
        ...(stoppingRuns !== undefined && shown > 0 && { stoppingRuns: stoppingRuns.slice(0, shown) }),
      }));
    if (Buffer.byteLength(JSON.stringify(cut)) < maxBytes) break;
  }
  return cut;
}

function noLimit(limit: string, operation: Operation): RequestError {
  return new RequestError(`there is no limit "${limit}"`, { operation, status: 404, reason: "LIMIT_NOT_FOUND" });
}

function toJson({ perSlot, sinceMs, taken, id }: Place): PlaceJson {
  return [perSlot, Number.isFinite(sinceMs) ? sinceMs : null, taken, id];
}

function fromJson([perSlot, sinceMs, taken, id]: PlaceJson): Place {
  return { perSlot, sinceMs: sinceMs ?? Infinity, taken, id };
}

function encodePlace(place: PlaceJson): string {
  return Buffer.from(JSON.stringify(place)).toString("base64url");
}

function decodePlace(cursor: string): Place {
  try {
    const place: unknown = JSON.parse(Buffer.from(cursor, "base64url").toString());
    if (Array.isArray(place)) {
      const [perSlot, sinceMs, taken, id] = place as readonly unknown[];
      if (typeof perSlot === "number" && typeof taken === "number" && typeof id === "string")
        return fromJson([perSlot, typeof sinceMs === "number" ? sinceMs : null, taken, id]);
    }
  } catch {
    // Not one of ours, like what is of another shape.
  }
  throw new RequestError("group.list: 'cursor': expected the `next` of an earlier page", {
    operation: "group.list",
    status: 400,
    reason: "BAD_REQUEST",
  });
}
