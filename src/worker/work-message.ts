/**
 * Whether something that arrived on a worker's subject is a message of an engine: checked by hand, since it is done for every
 * assignment, and only as far as the worker relies on it.
 */
import type { WorkMessage } from "../protocol/work.ts";

type Loose = Readonly<Record<string, unknown>>;

export function isWorkMessage(value: unknown): value is WorkMessage {
  if (!isObject(value)) return false;
  switch (value["type"]) {
    case "assign":
      return Array.isArray(value["assignments"]) && value["assignments"].every(isAssignment);
    case "stop":
      return Array.isArray(value["attempts"]) && value["attempts"].every(isStop);
    case "keys":
      return (
        isText(value["workflow"]) &&
        Array.isArray(value["items"]) &&
        value["items"].every((item) => isObject(item) && isText(item["run"]) && isReference(item["inputRef"]))
      );
    case "report":
    case "drain":
      return true;
    default:
      return false;
  }
}

function isAssignment(value: unknown): boolean {
  return (
    isObject(value) &&
    isText(value["attemptId"]) &&
    typeof value["partition"] === "number" &&
    isEpoch(value["epoch"]) &&
    isText(value["run"]) &&
    isText(value["workflow"]) &&
    isText(value["step"]) &&
    isObject(value["outputs"]) &&
    Array.isArray(value["keys"]) &&
    isReference(value["inputRef"])
  );
}

function isStop(value: unknown): boolean {
  return (
    isObject(value) &&
    isText(value["attemptId"]) &&
    typeof value["partition"] === "number" &&
    isEpoch(value["epoch"]) &&
    isText(value["reason"]) &&
    typeof value["graceMs"] === "number"
  );
}

/** Engines of the release before say none. */
function isEpoch(value: unknown): boolean {
  return value === undefined || Number.isSafeInteger(value);
}

function isReference(value: unknown): boolean {
  return value === undefined || (isObject(value) && isText(value["stream"]) && typeof value["seq"] === "number");
}

function isObject(value: unknown): value is Loose {
  return typeof value === "object" && value !== null;
}

function isText(value: unknown): boolean {
  return typeof value === "string";
}
