/** From a machine to its drawing: sketched here, laid out in the worker. While a new layout is computed the old drawing stays. */
import { useEffect, useMemo, useState } from "preact/hooks";
import { visibleChart, type ChartModel } from "../../chart/index.ts";
import { drawingOf, sketch, type Drawing, type Orientation } from "./graph.ts";
import { layout } from "./layout.ts";
import type { Measure } from "./measure.ts";
import { nextTask } from "./use-model.ts";
import { fitted, type Size } from "./viewport.ts";

export interface Shown {
  readonly drawing: Drawing;
  readonly collapsed: ReadonlySet<string>;
  readonly orientation: Orientation;
  readonly key: string;
}

export interface DrawingRequest {
  readonly hash: string;
  readonly model: ChartModel;
  readonly collapsed: ReadonlySet<string>;
  readonly details: boolean;
  readonly orientation: Orientation | "auto";
  readonly measure: Measure | undefined;
  /** Undefined while nothing is to be drawn. */
  readonly panel: Size | undefined;
}

/** Up to so many states both orientations are tried, and the one that can be shown larger is taken. */
const MAX_TRIED = 45;

export function useDrawing(request: DrawingRequest): { readonly shown: Shown | undefined; readonly failed: string | undefined } {
  const { hash, model, collapsed, details, orientation, measure, panel } = request;
  const [shown, setShown] = useState<Shown>();
  const [failed, setFailed] = useState<string>();
  const collapsedKey = useMemo(() => [...collapsed].sort().join("\n"), [collapsed]);
  const wide = panel !== undefined && panel.width > panel.height * 1.1;
  const ready = measure !== undefined && panel !== undefined;

  useEffect(() => {
    if (measure === undefined || panel === undefined) return undefined;
    let current = true;
    const visible = visibleChart(model, collapsed);
    const draw = async (one: Orientation): Promise<Shown> => {
      await nextTask();
      const key = [hash, one, details ? "details" : "plain", collapsedKey].join("\n");
      const sketched = sketch(model, visible, details, one, measure);
      const placed = await layout(key, () => sketched.graph);
      return { drawing: drawingOf(model, sketched, placed), collapsed, orientation: one, key };
    };
    const best = async (): Promise<Shown> => {
      if (orientation !== "auto") return draw(orientation);
      const down = await draw("down");
      if (!wide || visible.nodes.length > MAX_TRIED) return down;
      if (fitted(panel, down.drawing).scale >= 1) return down;
      const right = await draw("right");
      return fitted(panel, right.drawing).scale > fitted(panel, down.drawing).scale * 1.1 ? right : down;
    };
    best().then(
      (next) => {
        if (!current) return;
        setShown(next);
        setFailed(undefined);
      },
      (error: unknown) => {
        if (current) setFailed(error instanceof Error ? error.message : String(error));
      },
    );
    return () => {
      current = false;
    };
    // The panel's exact size changes nothing, and what the model is follows from the hash.
  }, [hash, model, collapsedKey, details, orientation, measure, wide, ready]);

  return { shown, failed };
}
