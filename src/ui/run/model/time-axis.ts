/** The axis of the timeline: which part of the time is in view, and ticks at round times. Pure. */
export interface View {
  /** Ms since the start of the run. */
  readonly from: number;
  readonly to: number;
}

const SHORTEST_VIEW_MS = 5;
const STEPS_MS = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 900_000,
  1_800_000, 3_600_000, 7_200_000, 14_400_000, 21_600_000, 43_200_000, 86_400_000, 172_800_000, 604_800_000,
] as const;

export interface Tick {
  readonly at: number;
  readonly text: string;
}

/** Round times in view, no nearer to each other than `apartPx`. */
export function ticksOf(view: View, widthPx: number, apartPx = 76): Tick[] {
  const span = view.to - view.from;
  if (span <= 0 || widthPx <= 0) return [];
  const least = (span / widthPx) * apartPx;
  const last = STEPS_MS[STEPS_MS.length - 1] ?? 1;
  const step = STEPS_MS.find((one) => one >= least) ?? Math.ceil(least / last) * last;
  const ticks: Tick[] = [];
  for (let at = Math.ceil(view.from / step) * step; at <= view.to; at += step) ticks.push({ at, text: tickText(at, step) });
  return ticks;
}

function tickText(at: number, step: number): string {
  if (at === 0) return "0";
  if (at < 1_000 && step < 1_000) return `${at} ms`;
  if (at < 60_000) {
    const digits = step < 10 ? 3 : step < 100 ? 2 : step < 1_000 ? 1 : 0;
    return `${(at / 1_000).toFixed(digits)} s`;
  }
  const two = (value: number): string => String(value).padStart(2, "0");
  const fraction =
    step < 1_000
      ? `.${String(at % 1_000)
          .padStart(3, "0")
          .slice(0, step < 10 ? 3 : step < 100 ? 2 : 1)}`
      : "";
  const seconds = Math.floor(at / 1_000);
  const clock = `${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}${fraction}`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}:${two(seconds % 60)}${fraction}`;
  const hours = Math.floor(seconds / 3_600);
  return hours < 24 ? `${hours}:${clock}` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** Zooms by a factor (below 1: in) around a time, and stays within `[0, length]`. */
export function zoomed(view: View, factor: number, around: number, length: number): View {
  const span = Math.min(length, Math.max(SHORTEST_VIEW_MS, (view.to - view.from) * factor));
  const share = view.to === view.from ? 0.5 : (around - view.from) / (view.to - view.from);
  return within({ from: around - share * span, to: around + (1 - share) * span }, length);
}

export function panned(view: View, by: number, length: number): View {
  return within({ from: view.from + by, to: view.to + by }, length);
}

function within(view: View, length: number): View {
  const span = Math.min(view.to - view.from, length);
  const from = Math.min(Math.max(0, view.from), length - span);
  return { from, to: from + span };
}

/** How long the axis of a run is: all of its life, and room to grow into while it is not over. */
export function axisLength(lifeMs: number, open: boolean): number {
  const least = Math.max(lifeMs, 10);
  if (!open) return least * 1.02;
  // In steps, so that the axis stands still most of the time: each is a quarter more than the one before.
  return Math.max(1_000, 1.25 ** Math.ceil(Math.log(least * 1.08) / Math.log(1.25)));
}
