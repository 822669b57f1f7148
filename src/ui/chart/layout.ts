/**
 * Where layouts are computed: ELK in one worker per tab, started when the first chart is drawn. Layouts are kept by what they depend on, in
 * memory and, the latest of them, for the tab's next load.
 */
import type { ELK, ElkNode } from "elkjs/lib/elk-api.js";
import workerUrl from "elkjs/lib/elk-worker.min.js?url";

const MAX_KEPT = 60;
const MAX_STORED = 12;
const STORED = "sluice.chart.layouts";
/** Raised when what is stored, or how graphs are made, changes. */
const FORMAT = "1";

interface Engine {
  readonly elk: ELK;
  /** Rejects when the worker cannot be loaded; ELK itself would wait for ever. */
  readonly broken: Promise<never>;
}

let engine: Promise<Engine> | undefined;
const kept = new Map<string, Promise<ElkNode>>();

async function start(): Promise<Engine> {
  const { default: Elk } = await import("elkjs/lib/elk-api.js");
  const worker = new Worker(workerUrl);
  const broken = new Promise<never>((_, reject) => {
    worker.addEventListener("error", (event) => {
      event.preventDefault();
      engine = undefined;
      reject(new Error(`the layout worker could not be started: ${event.message || workerUrl}`));
    });
  });
  broken.catch(() => {});
  return { elk: new Elk({ workerFactory: () => worker }), broken };
}

function theEngine(): Promise<Engine> {
  engine ??= start();
  return engine;
}

/** Starts the worker while the page is still asking for what to draw. */
export function warmUpLayout(): void {
  theEngine().catch(() => {});
}

/** `key` names all that `graph` was made from. The same graph object must not be used again: ELK's answer may share parts of it. */
export function layout(key: string, graph: () => ElkNode): Promise<ElkNode> {
  const known = kept.get(key);
  if (known !== undefined) return known;
  const stored = readStored().find((entry) => entry.key === key);
  const placed = stored === undefined ? compute(key, graph()) : Promise.resolve(stored.placed);
  kept.set(key, placed);
  placed.catch(() => kept.delete(key));
  for (const oldest of kept.keys()) {
    if (kept.size <= MAX_KEPT) break;
    kept.delete(oldest);
  }
  return placed;
}

async function compute(key: string, graph: ElkNode): Promise<ElkNode> {
  const { elk, broken } = await theEngine();
  const placed = await Promise.race([elk.layout(graph), broken]);
  store(key, placed);
  return placed;
}

interface Stored {
  readonly key: string;
  readonly placed: ElkNode;
}

let stored: readonly Stored[] | undefined;

function readStored(): readonly Stored[] {
  if (stored !== undefined) return stored;
  try {
    const read = JSON.parse(sessionStorage.getItem(STORED) ?? "null") as { format: string; layouts: Stored[] } | null;
    stored = read?.format === FORMAT ? read.layouts : [];
  } catch {
    stored = [];
  }
  return stored;
}

function store(key: string, placed: ElkNode): void {
  stored = [...readStored().filter((entry) => entry.key !== key), { key, placed }].slice(-MAX_STORED);
  const write = (): void => {
    try {
      sessionStorage.setItem(STORED, JSON.stringify({ format: FORMAT, layouts: stored }));
    } catch {
      // Full, or not allowed: the next load computes it again.
    }
  };
  if (typeof requestIdleCallback === "function") requestIdleCallback(write);
  else setTimeout(write, 500);
}
