/** Which operations only look and which change something: the latter need the token, and are refused in read-only mode. */
import type { Operation } from "../protocol/view.ts";

const KINDS: Readonly<Record<Operation, "read" | "write">> = {
  "run.create": "write",
  "run.get": "read",
  "run.list": "read",
  "run.cancel": "write",
  "run.replay": "write",
  "run.explain": "read",
  "run.events": "read",
  "run.record": "read",
  "run.count": "read",
  "run.cancelMany": "write",
  "run.replayMany": "write",
  "group.list": "read",
  "group.get": "read",
  "group.update": "write",
  "group.pause": "write",
  "group.resume": "write",
  "group.decisions": "read",
  "group.machine": "read",
  "machine.get": "read",
  "workflow.list": "read",
  "workflow.get": "read",
  "workflow.register": "write",
  "worker.list": "read",
  "worker.drain": "write",
  "node.list": "read",
  "workflow.population": "read",
  "event.list": "read",
  "event.publish": "write",
  "rejected.list": "read",
  "health.get": "read",
};

export function isOperation(name: string): name is Operation {
  return Object.hasOwn(KINDS, name);
}

export function isRead(operation: Operation): boolean {
  return KINDS[operation] === "read";
}
