/**
 * The delay before a further attempt. Its jitter is a hash of who waits and for the how manieth time: runs that failed
 * together don't come back together, and a replay computes the same delay.
 */
import type { BackoffSpec } from "../../src/workflow/spec.ts";

/** 32 bits of FNV-1a, then mixed (MurmurHash3's finalizer), since FNV leaves the last characters in the low bits. */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** In whole ms: `min(maxMs, minMs * factor^(failures-1))`, less up to half of it. `failures` is 1 or more. */
export function backoffMs(spec: BackoffSpec, runId: string, step: string, failures: number): number {
  if (spec.minMs <= 0) return 0;
  const full = Math.min(spec.maxMs, spec.minMs * spec.factor ** (failures - 1));
  const jitter = hash(`${runId}/${step}/${failures}`) / 0x1_0000_0000;
  return Math.round(full * (1 - jitter / 2));
}
