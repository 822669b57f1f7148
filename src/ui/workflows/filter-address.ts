/** Addresses of the list of runs under a filter: the words of `src/ui/runs/filter.ts`, quoted where they need it. Pure. */

/** `runsAt({ workflow: "answer", status: "FAILED" })` */
export function runsAt(words: Readonly<Record<string, string>>): string {
  const filter = Object.entries(words).map(([field, value]) => `${field}:${quoted(value)}`);
  return `/runs?q=${encodeURIComponent(filter.join(" "))}`;
}

function quoted(value: string): string {
  return /^[^\s"']+$/.test(value) ? value : JSON.stringify(value);
}
