/** Times and durations as text. */

/** Short and of steady width: `3 ms`, `4.2 s`, `1:05 min`, `2:30 h`, `3 d`. */
export function durationText(ms: number): string {
  const value = Math.max(0, ms);
  if (value < 1_000) return `${Math.round(value)} ms`;
  if (value < 59_950) return `${(value / 1_000).toFixed(1)} s`;
  const seconds = Math.round(value / 1_000);
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}:${two(seconds % 60)} min`;
  const minutes = Math.round(value / 60_000);
  if (minutes < 1_440) return `${Math.floor(minutes / 60)}:${two(minutes % 60)} h`;
  return `${(value / 86_400_000).toFixed(value < 864_000_000 ? 1 : 0)} d`;
}

/** `now`, `12 s ago`, `5 min ago`, `3 h ago`, `2 d ago`; `in 12 s` for what is to come. */
export function relativeText(at: number, now: number): string {
  const ms = now - at;
  const amount = Math.abs(ms);
  if (amount < 1_000) return "now";
  const text =
    amount < 60_000
      ? `${Math.floor(amount / 1_000)} s`
      : amount < 3_600_000
        ? `${Math.floor(amount / 60_000)} min`
        : amount < 86_400_000
          ? `${Math.floor(amount / 3_600_000)} h`
          : `${Math.floor(amount / 86_400_000)} d`;
  return ms >= 0 ? `${text} ago` : `in ${text}`;
}

/** To the millisecond, in the zone of the browser: `2026-01-31 12:00:00.123 +01:00`. */
export function exactText(at: number): string {
  const date = new Date(at);
  if (Number.isNaN(at)) return "";
  const offset = -date.getTimezoneOffset();
  const zone = `${offset < 0 ? "-" : "+"}${two(Math.floor(Math.abs(offset) / 60))}:${two(Math.abs(offset) % 60)}`;
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return `${day} ${time}.${String(date.getMilliseconds()).padStart(3, "0")} ${zone}`;
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}
