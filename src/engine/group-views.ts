/**
 * The operations on groups: one at a time from its owner, lists with the most pressed first, its machine, and its decisions out of
 * the history. Changes go through the inbox of the group's partition.
 */
import * as contexts from "../../machines/group/context.ts";
import type { GroupContext } from "../../machines/group/contract.ts";
import { groupMachine, groupState } from "../../machines/group/index.ts";
import { RequestError } from "../errors.ts";
import type { Command } from "../protocol/commands.ts";
import type { GroupMachineView } from "../protocol/record.ts";
import type { GroupView, Operation, Operations } from "../protocol/view.ts";
import type { LimitRules } from "./group.ts";
import { strategyMachine } from "./machine-definitions.ts";
import type { Partition } from "./partition.ts";
import type { Placement } from "./placement.ts";
import { byPressure, type Place, type PressedGroup } from "./pressed-groups.ts";
import { TopGroups } from "./top-groups.ts";
import { contextView, groupView, SHOWN_RUNS } from "./views.ts";
import type { Workflows } from "./workflows.ts";

export interface GroupSources {
  readonly workflows: Workflows;
  readonly placement: () => Placement;
  readonly partitions: readonly Partition[];
  readonly send: (partition: number, command: Command) => Promise<void>;
}

const DEFAULT_PAGE = 50;
/** How many ids of runs a group shows in a list: fewer where the page would be too much for one message. */
const SHOWN_IN_LISTS = [SHOWN_RUNS, 30, 10, 0];

export class GroupViews {
  readonly #sources: GroupSources;

  constructor(sources: GroupSources) {
    this.#sources = sources;
  }

  /**
   * Most pressed first. A page begins after the place that the last group of the page before had then: groups that have moved
   * meanwhile may be missing or come again, and every page but the last is full.
   */
  async list(request: Operations["group.list"]["request"], maxBytes: number): Promise<Operations["group.list"]["reply"]> {
    const { limit, text, size = DEFAULT_PAGE, cursor } = request;
    const after = cursor === undefined ? undefined : decodePlace(cursor);
    const part = text?.toLowerCase();
    const lists = await Promise.all(
      this.#sources.partitions.map((partition) =>
        partition.read(({ groups }) => {
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
        }),
      ),
    );
    const found = lists.flatMap(({ top }) => top).sort(byPressure);
    const page = found.slice(0, size);
    const last = page.at(-1);
    return {
      items: viewsThatFit(page, maxBytes),
      total: lists.reduce((sum, { total }) => sum + total, 0),
      ...(found.length > size && last !== undefined && { next: encodePlace(last) }),
    };
  }

  get(limit: string, key: string): Promise<GroupView> {
    return this.#read(limit, key, "group.get", (context, view) => view(context));
  }

  machine(limit: string, key: string): Promise<GroupMachineView> {
    return this.#read(limit, key, "group.machine", (context, view) => {
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
    });
  }

  async set(command: Extract<Command, { type: "group" }>, operation: Operation): Promise<GroupView> {
    const { limit, key } = command;
    if (this.#rulesOf(limit) === undefined) throw noLimit(limit, operation);
    await this.#sources.send(this.#sources.placement().ofGroup(limit, key), command);
    return this.#read(limit, key, operation, (context, view) => view(context));
  }

  /** Throws LIMIT_NOT_FOUND where no workflow has such a limit. */
  check(limit: string, operation: Operation): void {
    if (this.#rulesOf(limit) === undefined) throw noLimit(limit, operation);
  }

  /** From its owner; a group that nobody uses is as a newcomer would find it. */
  async #read<T>(
    limit: string,
    key: string,
    operation: Operation,
    read: (context: GroupContext, view: (context: GroupContext) => GroupView) => T,
  ): Promise<T> {
    const partition = this.#sources.partitions[this.#sources.placement().ofGroup(limit, key)];
    const seen = await partition?.read(({ groups }) => {
      const group = groups.find(limit, key);
      if (group !== undefined) return { it: read(group.context, () => groupView(group, Date.now())) };
      const rules = groups.rules.get(limit) ?? this.#rulesOf(limit);
      if (rules === undefined) return undefined;
      const { maxRuns, strategy } = rules;
      return { it: read(contexts.createContext({ limit, key, maxRuns, strategy }), (context) => contextView(context, 0)) };
    });
    if (seen === undefined) throw noLimit(limit, operation);
    return seen.it;
  }

  #rulesOf(limit: string): LimitRules | undefined {
    for (const workflow of this.#sources.workflows.all)
      for (const spec of workflow.spec.limits) if (spec.name === limit) return spec;
    return undefined;
  }
}

function viewsThatFit(page: readonly PressedGroup[], maxBytes: number): readonly GroupView[] {
  const now = Date.now();
  let views: readonly GroupView[] = [];
  for (const shown of SHOWN_IN_LISTS) {
    views = page.map(({ group }) => groupView(group, now, shown));
    if (Buffer.byteLength(JSON.stringify(views)) < maxBytes) break;
  }
  return views;
}

function noLimit(limit: string, operation: Operation): RequestError {
  return new RequestError(`there is no limit "${limit}"`, { operation, status: 404, reason: "LIMIT_NOT_FOUND" });
}

/** Since when nobody waits is not a number in JSON. */
function encodePlace({ perSlot, sinceMs, taken, id }: Place): string {
  return Buffer.from(JSON.stringify([perSlot, Number.isFinite(sinceMs) ? sinceMs : null, taken, id])).toString("base64url");
}

function decodePlace(cursor: string): Place {
  try {
    const place: unknown = JSON.parse(Buffer.from(cursor, "base64url").toString());
    if (Array.isArray(place)) {
      const [perSlot, sinceMs, taken, id] = place as readonly unknown[];
      if (typeof perSlot === "number" && typeof taken === "number" && typeof id === "string")
        return { perSlot, sinceMs: typeof sinceMs === "number" ? sinceMs : Infinity, taken, id };
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
