/**
 * A run as others are told of it: in the journal, in a snapshot, and in another partition. Pure; the shapes are those of facts.ts and
 * run.ts.
 */
import type { CreatedFact, Phase, RunSnapshot } from "../facts.ts";
import { type Creation, INLINE_INPUT_CHARS, type Run } from "../run.ts";

/**
 * How a run comes to its partition: a `CreatedFact` as JSON, by hand, since there is one for every run. Ids, names, versions and
 * phases need no escaping: they are subject tokens and constants. The input is a JSON text already and is put in as it is.
 */
export function createdText(
  run: Run,
  phase: Phase,
  keys: readonly string[] | undefined,
  atMs: number,
  held: readonly number[] = [],
  paused: readonly number[] = [],
): string {
  const { spec, name } = run.workflow;
  let json = `{"k":"created","at":${atMs},"run":"${run.run}","wf":"${name}","ver":"${spec.version}","phase":"${phase}"`;
  if (run.priority !== 0) json += `,"pri":${run.priority}`;
  if (keys !== undefined && keys.length > 0) json += `,"keys":${JSON.stringify(keys)}`;
  if (held.length > 0) json += `,"held":${JSON.stringify(held)}`;
  if (paused.length > 0) json += `,"paused":${JSON.stringify(paused)}`;
  if (run.ref !== undefined && (run.input === undefined || run.input.length > INLINE_INPUT_CHARS))
    json += `,"ref":${JSON.stringify(run.ref)}`;
  const { rest, event } = run; // one look: it is made each time
  if (rest?.metadata !== undefined) json += `,"meta":${JSON.stringify(rest.metadata)}`;
  if (event !== undefined) json += `,"ev":{"name":${JSON.stringify(event.name)},"seq":${event.seq}}`;
  if (rest?.notBefore !== undefined) json += `,"due":${rest.notBefore}`;
  if (run.createdAt !== atMs) json += `,"born":${run.createdAt}`;
  if (rest?.replayOf !== undefined) json += `,"replayOf":"${rest.replayOf}"`;
  if (rest?.traceparent !== undefined) json += `,"tp":${JSON.stringify(rest.traceparent)}`;
  if (run.input !== undefined && !run.inputIsElsewhere) json += `,"input":${run.input}`;
  return `${json}}`;
}

/** The whole state of a run, as one line of a snapshot. */
export function snapshotLine(run: Run): string {
  const { live } = run;
  const moved = run.rest?.moved;
  const keys = run.groups.length > 0 ? run.keys : run.rest?.keys;
  const waitingSince =
    run.timer?.value.kind === "expired" ? run.timer.dueMs - (run.workflow.spec.scheduleTimeoutMs ?? 0) : run.createdAt;
  const held = run.gated ? run.groups.flatMap((group, index) => (group.context.held.has(run) ? [index] : [])) : [];
  const created = createdText(run, run.phase, keys, live?.admittedAt ?? waitingSince, held);
  const others: Omit<RunSnapshot, "created"> = {
    order: run.order,
    ...(live !== undefined && live.events.length > 0 && { events: live.events }),
    ...(moved !== undefined && { moved }),
  };
  return `{"s":"run","created":${created},${JSON.stringify(others).slice(1)}`;
}

/** How the run comes to be in another partition, which is told its keys. */
export function toCreation(run: Run, keys: readonly string[]): Creation {
  const { event } = run;
  const { metadata, notBefore, replayOf, traceparent } = run.rest ?? {};
  return {
    run: run.run,
    workflow: run.workflow,
    createdAt: run.createdAt,
    ...(run.input !== undefined && { input: run.input }),
    ...(run.ref !== undefined && { ref: run.ref }),
    keys,
    priority: run.priority,
    ...(metadata !== undefined && { metadata }),
    ...(event !== undefined && { event }),
    ...(notBefore !== undefined && { notBefore }),
    ...(replayOf !== undefined && { replayOf }),
    ...(traceparent !== undefined && { traceparent }),
  };
}

/** The other way: how a run came to be that is in the journal. */
export function fromCreated(fact: CreatedFact, workflow: Creation["workflow"]): Creation {
  return {
    run: fact.run,
    workflow,
    createdAt: fact.born ?? fact.at,
    ...(fact.input !== undefined && { input: JSON.stringify(fact.input) }),
    ...(fact.ref !== undefined && { ref: fact.ref }),
    ...(fact.pri !== undefined && { priority: fact.pri }),
    ...(fact.meta !== undefined && { metadata: fact.meta }),
    ...(fact.ev !== undefined && { event: fact.ev }),
    ...(fact.due !== undefined && { notBefore: fact.due }),
    ...(fact.replayOf !== undefined && { replayOf: fact.replayOf }),
    ...(fact.tp !== undefined && { traceparent: fact.tp }),
  };
}
