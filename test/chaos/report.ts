/** Says what a chaos test has found: a summary to print, and files with everything in the folder of its logs. */
import type { History, Violation } from "./history.ts";
import type { World } from "./world.ts";

const SHOWN = 20;

/** With violations, `violations.txt` has them all, each with everything that is known of its run. */
export async function report(world: World, seed: number, history: History, violations: readonly Violation[]): Promise<string> {
  const ends = new Map<string, number>();
  for (const { batch } of history.journal)
    for (const fact of batch.f)
      if (fact.k === "finished") {
        const end = `${fact.status}${fact.reason === undefined ? "" : ` ${fact.reason}`}`;
        ends.set(end, (ends.get(end) ?? 0) + 1);
      }
  const lines = [
    `chaos: seed ${seed}; ${history.acknowledged.length} events acknowledged, ${history.accepted.length} runs started by calls, ${history.unsure.size} without an answer`,
    `  ended: ${[...ends].map(([end, count]) => `${count} ${end}`).join(", ")}`,
    `  slowest fresh run: ${Math.max(...history.probes.map(({ startedAfterMs }) => startedAfterMs ?? Infinity)).toFixed(0)} ms`,
  ];
  if (violations.length === 0) return lines.join("\n");
  const counts = new Map<string, number>();
  for (const { rule } of violations) counts.set(rule, (counts.get(rule) ?? 0) + 1);
  const shown = violations.slice(0, SHOWN);
  const facts = factsOf(history, new Set(violations.flatMap(({ run }) => (run === undefined ? [] : [run]))));
  await world.write(
    "violations.txt",
    violations.map(({ rule, text, run = "" }) => `${rule}: ${text}\n${facts.get(run) ?? ""}`).join("\n"),
  );
  return [
    ...lines,
    `  BROKEN: ${[...counts].map(([rule, count]) => `${count} x ${rule}`).join(", ")}`,
    ...shown.map(({ rule, text }) => `  ${rule}: ${text}`),
    ...(violations.length > SHOWN ? [`  and ${violations.length - SHOWN} more`] : []),
    "  timeline:",
    ...world.timeline.map((line) => `  ${line}`),
    `  everything is in ${world.folder}`,
  ].join("\n");
}

/** All that is known of these runs, in order of time. */
function factsOf({ journal, records }: History, runs: ReadonlySet<string>): Map<string, string> {
  const lines = new Map<string, { readonly at: number; readonly text: string }[]>();
  const add = (run: string, at: number, text: string): void => {
    if (!runs.has(run)) return;
    const list = lines.get(run) ?? [];
    lines.set(run, list);
    list.push({ at, text });
  };
  for (const { partition, seq, at, batch } of journal)
    for (const fact of batch.f) if ("run" in fact) add(fact.run, at, `journal ${partition}:${seq} ${JSON.stringify(fact)}`);
  for (const record of records) add(record.run, record.at, `handler ${JSON.stringify(record)}`);
  return new Map(
    [...lines].map(([run, list]) => [
      run,
      list
        .sort((a, b) => a.at - b.at)
        .map(({ at, text }) => `    ${at.toFixed(1)} ${text}\n`)
        .join(""),
    ]),
  );
}
