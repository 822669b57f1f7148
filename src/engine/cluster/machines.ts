/**
 * The machines of one node's membership, stepped: its life, and one ownership per role. Events are carried out one after another, so that one
 * that comes out of an action waits for the others of its step. What the actions mean is the caller's.
 */
import { nodeLife, type NodeLifeEvent } from "../../../machines/cluster/node-life.ts";
import {
  type OwnershipContext,
  type OwnershipEvent,
  type OwnershipMode,
  partitionOwnership,
} from "../../../machines/cluster/partition-ownership.ts";
import type { Clock } from "../../clock.ts";
import { createStepper, type MachineSnapshot, type Step, type Stepper } from "../../step/stepper.ts";
import { type Role, rolesOf } from "./cluster-map.ts";
import type { Standing } from "./wishes.ts";

export type LifeMode = Standing["life"];

export interface MachinesOptions {
  readonly partitions: number;
  readonly leaveTimeoutMs: number;
  readonly restMs: number;
  readonly clock: Clock;
  readonly onLife: (action: string) => void;
  readonly onRole: (role: Role, action: string) => void;
  readonly onError: (error: unknown) => void;
}

type Target = Role | "node";
interface Queued {
  readonly target: Target;
  readonly event: { readonly type: string };
}

let steppers: { readonly life: Stepper; readonly role: Stepper } | undefined;

export class Machines {
  readonly roles: readonly Role[];
  readonly #options: MachinesOptions;
  readonly #steppers: { readonly life: Stepper; readonly role: Stepper };
  readonly #states = new Map<Target, MachineSnapshot>();
  readonly #timers = new Map<string, () => void>();
  readonly #queue: Queued[] = [];
  #timersStopped = false;

  constructor(options: MachinesOptions) {
    this.#options = options;
    this.roles = rolesOf(options.partitions);
    this.#steppers = steppers ??= { life: createStepper(nodeLife), role: createStepper(partitionOwnership) };
  }

  start(): void {
    const { leaveTimeoutMs, restMs } = this.#options;
    for (const role of this.roles) this.#carryOut(role, this.#steppers.role.initial({ restMs }));
    this.#carryOut("node", this.#steppers.life.initial({ leaveTimeoutMs }));
  }

  /** No timer goes off from here on. */
  stop(): void {
    this.#timersStopped = true;
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
  }

  get life(): LifeMode {
    const value = this.#states.get("node")?.value as string | Record<string, string> | undefined;
    return (typeof value === "object" ? "member" : (value ?? "joining")) as LifeMode;
  }

  /** Its session is renewed in time. */
  get isAssured(): boolean {
    return this.#states.get("node")?.matches({ member: "assured" }) === true;
  }

  mode(role: Role): OwnershipMode {
    return (this.#states.get(role)?.value ?? "elsewhere") as OwnershipMode;
  }

  epoch(role: Role): number {
    return (this.#states.get(role)?.context as OwnershipContext | undefined)?.epoch ?? 0;
  }

  tellLife(event: NodeLifeEvent): void {
    this.#send({ target: "node", event });
  }

  tell(role: Role, event: OwnershipEvent): void {
    this.#send({ target: role, event });
  }

  #send(queued: Queued): void {
    this.#queue.push(queued);
    if (this.#queue.length > 1) return;
    for (let next: Queued | undefined = queued; next !== undefined; next = this.#queue[0]) {
      const { target, event } = next;
      const state = this.#states.get(target);
      if (state?.status === "active")
        this.#carryOut(target, this.#steppers[target === "node" ? "life" : "role"].step(state, event));
      this.#queue.shift();
    }
  }

  #carryOut(target: Target, { snapshot, actions, error }: Step): void {
    this.#states.set(target, snapshot);
    if (error !== undefined) this.#options.onError(error);
    for (const { type, params } of actions) {
      if (type === "timer.set") this.#setTimer(target, params as { id: string; delayMs: number; event: { type: string } });
      else if (type === "timer.cancel") this.#cancelTimer(`${target} ${(params as { id: string }).id}`);
      else if (target === "node") this.#options.onLife(type);
      else this.#options.onRole(target, type);
    }
  }

  #setTimer(target: Target, { id, delayMs, event }: { id: string; delayMs: number; event: { type: string } }): void {
    const key = `${target} ${id}`;
    this.#cancelTimer(key);
    if (this.#timersStopped) return;
    const fire = (): void => {
      this.#timers.delete(key);
      this.#send({ target, event });
    };
    this.#timers.set(key, this.#options.clock.setTimer(fire, delayMs));
  }

  #cancelTimer(key: string): void {
    this.#timers.get(key)?.();
    this.#timers.delete(key);
  }
}
