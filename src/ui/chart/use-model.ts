/** Models of machines, made once per machine and in a task of their own: a large one takes as long as a frame may. */
import { useEffect, useState } from "preact/hooks";
import { createChartModel, type ChartModel } from "../../chart/index.ts";
import type { MachineDefinition } from "../../protocol/record.ts";

const MAX_KEPT = 30;
const kept = new Map<string, ChartModel>();

function modelOf({ hash, definition }: MachineDefinition): ChartModel {
  const model = kept.get(hash) ?? createChartModel(definition);
  kept.set(hash, model);
  for (const oldest of kept.keys()) {
    if (kept.size <= MAX_KEPT) break;
    kept.delete(oldest);
  }
  return model;
}

export function useModel(definition: MachineDefinition): ChartModel | undefined {
  const [, setMade] = useState("");
  const known = kept.get(definition.hash);
  useEffect(() => {
    if (known !== undefined) return undefined;
    const task = setTimeout(() => {
      modelOf(definition);
      setMade(definition.hash);
    });
    return () => clearTimeout(task);
  }, [definition.hash]);
  return known;
}

/** Lets the browser do what it has to do, and goes on afterwards. */
export function nextTask(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}
