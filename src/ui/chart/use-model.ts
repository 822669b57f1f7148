/** Models of machines, made once per machine and in tasks of their own: a large one takes longer than a frame may. */
import { useEffect, useState } from "preact/hooks";
import { chartModelSteps, type ChartModel } from "../../chart/index.ts";
import type { MachineDefinition } from "../../protocol/record.ts";

const MAX_KEPT = 30;
const kept = new Map<string, ChartModel>();

function keep(hash: string, model: ChartModel): void {
  kept.set(hash, model);
  for (const oldest of kept.keys()) {
    if (kept.size <= MAX_KEPT) break;
    kept.delete(oldest);
  }
}

export function useModel({ hash, definition }: MachineDefinition): ChartModel | undefined {
  const [, setMade] = useState("");
  const known = kept.get(hash);
  useEffect(() => {
    if (known !== undefined) return undefined;
    const steps = chartModelSteps(definition);
    let task: ReturnType<typeof setTimeout>;
    const go = (): void => {
      const { done, value } = steps.next();
      if (done !== true) {
        task = setTimeout(go);
      } else {
        keep(hash, value);
        setMade(hash);
      }
    };
    task = setTimeout(go);
    return () => clearTimeout(task);
  }, [hash]);
  return known;
}

/** Lets the browser do what it has to do, and goes on afterwards. */
export function nextTask(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}
