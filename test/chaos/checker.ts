/**
 * Judges the history of a chaos test: every rule that was broken, with what shows it; nothing when all is well. Pure. The rules are
 * the promises of the design, section 4: limits, nothing lost and nothing doubled, order; and that a journal has one writer.
 */
import { checkHandlers } from "./check-handlers.ts";
import { checkJournal } from "./check-journal.ts";
import { checkRuns } from "./check-runs.ts";
import type { History, Violation } from "./history.ts";
import { livesOf } from "./run-lives.ts";

/** Slots that are free admit at once: far less than any timeout that would free a leaked one. */
export const AT_ONCE_MS = 2_000;

export function checkHistory(history: History): Violation[] {
  const lives = livesOf(history.journal);
  const { violations, changes } = checkJournal(history.journal, history.workflows);
  return [
    ...checkWhole(history),
    ...violations,
    ...checkRuns(history, lives),
    ...checkHandlers(history, lives, changes),
    ...checkSlots(history),
  ];
}

/** Of the whole rather than of a run. What the servers have lost comes first, since all else may follow from it. */
function checkWhole({ lostByServers, failures }: History): Violation[] {
  return [
    ...lostByServers.map((text): Violation => ({ rule: "storage-lost", text })),
    ...failures.map((text): Violation => ({ rule: "keeps-working", text })),
  ];
}

/** When all has ended, nothing is held any more, and what is new starts at once. */
function checkSlots({ usedSlots, heldGroups, probes }: History): Violation[] {
  const violations: Violation[] = [];
  const said = (text: string): void => {
    violations.push({ rule: "slot-leaked", text });
  };
  for (const { worker, used } of usedSlots) if (used !== 0) said(`worker ${worker} uses ${used} slots, and all runs have ended`);
  for (const { limit, key, active, waiting } of heldGroups)
    if (active !== 0 || waiting !== 0)
      said(`${limit} / ${key} has ${active} active and ${waiting} waiting runs, and all have ended`);
  for (const { limit, key, startedAfterMs } of probes)
    if (startedAfterMs === undefined || startedAfterMs > AT_ONCE_MS)
      said(
        `a fresh run of ${limit} / ${key} ${startedAfterMs === undefined ? "never started" : `started after ${startedAfterMs.toFixed(0)} ms`}, and nothing else is to do`,
      );
  return violations;
}
