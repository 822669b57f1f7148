/**
 * A command that shows something until it is told to end: by `q`, Ctrl-C or a signal. Draws when something has changed and as
 * time goes by; what is shown, and what keys mean beyond the end, is the command's.
 */
import { LiveScreen, type Key } from "./live-screen.ts";
import { exitCodeOf, onStopSignals } from "./signals.ts";
import type { Terminal } from "./terminal.ts";

export interface LiveView {
  /** Lines for a terminal of this size. */
  render(columns: number, rows: number): readonly string[];
  /** Gets what is new; its errors are shown by the view itself. */
  refresh(): Promise<void>;
  onKey?(key: Key): void;
}

export interface LiveControls {
  /** Draws again. */
  readonly redraw: () => void;
  /** Gets what is new soon: at once, or as soon as it was not asked too often. */
  readonly refreshSoon: () => void;
}

export interface LiveTimes {
  /** Refreshed at least so often. */
  readonly everyMs: number;
  /** And at most so often. */
  readonly atMostEveryMs: number;
}

/** Runs the view to its end. `start` may watch for changes, and returns how to end that. */
export async function showLive(
  terminal: Terminal,
  view: LiveView,
  times: LiveTimes,
  start: (controls: LiveControls) => (() => void) | undefined = () => undefined,
): Promise<void> {
  const screen = new LiveScreen(terminal.stdin, terminal.stdout);
  const signals = onStopSignals((signal) => {
    screen.close();
    process.exit(exitCodeOf(signal));
  });
  let over = false;
  let refreshing = false;
  let again = false;
  let timer: NodeJS.Timeout | undefined;
  let refreshedAt = -Infinity;

  const redraw = (): void => screen.draw(view.render(screen.columns, screen.rows));
  const refresh = async (): Promise<void> => {
    if (over) return;
    clearTimeout(timer);
    refreshing = true;
    again = false;
    refreshedAt = performance.now();
    await view.refresh();
    refreshing = false;
    if (over) return;
    redraw();
    timer = setTimeout(() => void refresh(), again ? waitMs() : times.everyMs);
  };
  const waitMs = (): number => Math.max(0, refreshedAt + times.atMostEveryMs - performance.now());
  const refreshSoon = (): void => {
    if (over) return;
    if (refreshing) {
      again = true;
      return;
    }
    clearTimeout(timer);
    timer = setTimeout(() => void refresh(), waitMs());
  };

  let stop: (() => void) | undefined;
  try {
    const ended = new Promise<void>((resolve) => {
      screen.open((key) => {
        if (key === "q" || key === "ctrl-c") return resolve();
        view.onKey?.(key);
      }, redraw);
    });
    redraw();
    stop = start({ redraw, refreshSoon });
    void refresh();
    await Promise.race([ended, signals.first]);
  } finally {
    over = true;
    clearTimeout(timer);
    stop?.();
    screen.close();
    signals.dispose();
  }
}
