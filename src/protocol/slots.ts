/**
 * What engine nodes say to each other about the slots of workers: a node to the coordinator, which gives them out, and back.
 * Core NATS messages between two nodes, numbered per session, so that what is lost is noticed. One session holds until either
 * side misses something; the next one begins with all that the node has and wants.
 */

/** A step that waits for a slot, without what only its owner knows. */
export interface SlotWant {
  /** The node that asks. */
  readonly node: string;
  /** Of the node, never used again by it. */
  readonly id: number;
  readonly partition: number;
  /** Workflow and step: what a worker must serve. */
  readonly handler: string;
  /** Workflow and version: what a worker should serve. */
  readonly version: string;
  readonly priority: number;
  /** Place within the flow. */
  readonly order: number;
  /** Place of the run among those of its partition. */
  readonly runOrder: number;
  readonly flow: string;
}

/** How a slot came to be free. */
export type Freed =
  /** The attempt is over. */
  | "released"
  /** Nobody used it: the step did not want it any more, or the worker refused it for another reason than its slots. */
  | "unused";

export type SlotOp =
  /** The first of each session: how many slots of which workers this node's attempts have, or it was promised. */
  | readonly ["held", Readonly<Record<string, number>>]
  | readonly [
      "want",
      id: number,
      partition: number,
      handler: string,
      version: string,
      priority: number,
      order: number,
      runOrder: number,
      flow: string,
    ]
  /** That was all that it wants. Once in each session, after which whatever it wanted before is forgotten. */
  | readonly ["all"]
  | readonly ["unwant", id: number]
  /** An attempt that was handed over by an earlier owner has a slot. */
  | readonly ["hold", worker: string]
  | readonly ["free", worker: string, how: Freed]
  /** This many slots are used by attempts that this node does not follow any more. */
  | readonly ["abandon", worker: string, count: number]
  /** It refused although slots were thought to be free: wait for its next word. */
  | readonly ["full", worker: string];

/** A node to the coordinator. */
export type SlotMessage =
  /** `n`: 1, 2, … in session `s`. `got`: the last message of the coordinator that has arrived in it. */
  | { readonly s: number; readonly n: number; readonly got: number; readonly ops: readonly SlotOp[] }
  /** That was sent up to `n`; answered in kind. */
  | { readonly s: number; readonly n: number; readonly got: number }
  /** Where is this want in the fair order? */
  | { readonly s: number; readonly ask: number; readonly want: number };

/** The coordinator to a node. */
export type SlotAnswer =
  /** `n`: 1, 2, … in session `s`. Want and worker: a slot of it is this want's. */
  | { readonly s: number; readonly n: number; readonly offers: readonly (readonly [want: number, worker: string])[] }
  /** That was sent up to `n`. */
  | { readonly s: number; readonly n: number }
  /** Something of session `s` was missed, or it is not known: begin anew. 0: slots are given out here now; who was not heard yet says so again. */
  | { readonly s: number; readonly again: true }
  | { readonly s: number; readonly ask: number; readonly standing: SlotStanding };

/** How a step stands that wants a slot. */
export interface SlotStanding {
  /** Whether any worker serves it. */
  readonly served: boolean;
  /** Its place in the fair order, 1 is next; undefined where that is not known here. */
  readonly position: number | undefined;
  /** Steps in that order. */
  readonly waiting: number;
  /** Workers that serve it. */
  readonly workers: number;
}

export function isSlotMessage(value: unknown): value is SlotMessage {
  if (!isNumbered(value)) return false;
  if ("ask" in value) return Number.isInteger(value["ask"]) && Number.isInteger(value["want"]);
  if (!isCount(value["n"]) || !isCount(value["got"])) return false;
  return value["ops"] === undefined || (Array.isArray(value["ops"]) && value["ops"].every(isOp));
}

export function isSlotAnswer(value: unknown): value is SlotAnswer {
  if (!isNumbered(value)) return false;
  if ("ask" in value) return typeof value["standing"] === "object" && value["standing"] !== null;
  if ("again" in value) return true;
  if (!isCount(value["n"])) return false;
  return value["offers"] === undefined || (Array.isArray(value["offers"]) && value["offers"].every(isOffer));
}

type Loose = Readonly<Record<string, unknown>>;

function isNumbered(value: unknown): value is Loose {
  return typeof value === "object" && value !== null && isCount((value as Loose)["s"]);
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isOffer(value: unknown): boolean {
  return Array.isArray(value) && Number.isInteger(value[0]) && typeof value[1] === "string";
}

function isOp(value: unknown): boolean {
  if (!Array.isArray(value)) return false;
  const [kind, first, second] = value as unknown[];
  switch (kind) {
    case "held":
      return typeof first === "object" && first !== null && Object.values(first).every(isCount);
    case "want":
      return (
        value.length === 9 &&
        [1, 2, 5, 6, 7].every((at) => typeof value[at] === "number") &&
        [3, 4, 8].every((at) => typeof value[at] === "string")
      );
    case "all":
      return true;
    case "unwant":
      return typeof first === "number";
    case "hold":
    case "full":
      return typeof first === "string";
    case "free":
      return typeof first === "string" && (second === "released" || second === "unused");
    case "abandon":
      return typeof first === "string" && isCount(second);
    default:
      return false;
  }
}
