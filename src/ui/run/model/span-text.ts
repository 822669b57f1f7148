/** Lengths of time, exact to the millisecond as far as that can be read, and times of day with milliseconds. Pure. */

/** `0 ms`, `812 ms`, `3.214 s`, `2 min 03.4 s`, `1 h 02 min 03 s`, `3 d 04 h`. */
export function spanText(ms: number): string {
  if (ms < 0) return `−${spanText(-ms)}`;
  const value = Math.round(ms);
  if (value < 1_000) return `${value} ms`;
  if (value < 60_000) return `${(value / 1_000).toFixed(3)} s`;
  if (value < 3_600_000) {
    const tenths = Math.floor(value / 100);
    return `${Math.floor(tenths / 600)} min ${((tenths % 600) / 10).toFixed(1).padStart(4, "0")} s`;
  }
  const seconds = Math.floor(value / 1_000);
  if (value < 86_400_000)
    return `${Math.floor(seconds / 3_600)} h ${two(Math.floor(seconds / 60) % 60)} min ${two(seconds % 60)} s`;
  return `${Math.floor(seconds / 86_400)} d ${two(Math.floor(seconds / 3_600) % 24)} h`;
}

/** For narrow places: three digits that count. `812 ms`, `3.21 s`, `2:03 min`, `1:02 h`, `3.2 d`. */
export function shortSpan(ms: number): string {
  const value = Math.max(0, Math.round(ms));
  if (value < 1_000) return `${value} ms`;
  if (value < 9_995) return `${(value / 1_000).toFixed(2)} s`;
  if (value < 59_950) return `${(value / 1_000).toFixed(1)} s`;
  const seconds = Math.round(value / 1_000);
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}:${two(seconds % 60)} min`;
  const minutes = Math.round(value / 60_000);
  if (minutes < 1_440) return `${Math.floor(minutes / 60)}:${two(minutes % 60)} h`;
  return `${(value / 86_400_000).toFixed(1)} d`;
}

/** `14:03:05.123`, in the zone of the browser. */
export function clockText(ms: number): string {
  const at = new Date(ms);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${String(at.getMilliseconds()).padStart(3, "0")}`;
}

/** What is left: `12 s`, below ten seconds with a tenth. Never negative. */
export function countdownText(ms: number): string {
  const value = Math.max(0, ms);
  return value < 10_000
    ? `${(Math.floor(value / 100) / 10).toFixed(1)} s`
    : shortSpan(Math.floor(value / 1_000) * 1_000).replace(".0 s", " s");
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}
