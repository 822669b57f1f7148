/** What the benchmark has measured: a row per thing, printed as it comes and as a table in the end. */
export interface Row {
  readonly name: string;
  readonly unit: string;
  readonly median: number;
  readonly min: number;
  readonly max: number;
}
export const rows: Row[] = [];

export function record(name: string, unit: string, samples: readonly number[]): void {
  const sorted = [...samples].sort((a, b) => a - b);
  const row = { name, unit, median: percentile(sorted, 50), min: sorted[0] ?? 0, max: sorted.at(-1) ?? 0 };
  rows.push(row);
  console.error(
    `${name.padEnd(58)} ${format(row.median).padStart(10)} ${unit.padEnd(8)} (${format(row.min)} to ${format(row.max)})`,
  );
}

export function format(value: number): string {
  return value >= 100 ? String(Math.round(value)) : value.toPrecision(3);
}

export function percentile(sorted: readonly number[], p: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * p) / 100))] ?? 0;
}
