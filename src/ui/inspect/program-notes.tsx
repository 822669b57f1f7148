/** What people should know about what they see: what was cut off, let go, or not understood. */
import type { JSX } from "preact";
import type { InspectActorView, InspectProgramView } from "../../protocol/inspect.ts";

export function ProgramNotes({
  program,
  actor,
}: {
  readonly program: InspectProgramView;
  readonly actor: InspectActorView | undefined;
}): JSX.Element | null {
  const { problems, dropped, cutDefinitions } = program;
  const misunderstood = problems.reduce((sum, { count }) => sum + count, 0);
  const notes: JSX.Element[] = [];
  if (actor?.cutDefinition === true || (actor === undefined && cutDefinitions))
    notes.push(
      <p key="cut">
        The client cut this machine off: what is nested deeper is missing. Give <code>createWebSocketInspector</code> the option{" "}
        <code>serializationDepthLimit: 50</code>.
      </p>,
    );
  if (misunderstood > 0)
    notes.push(
      <details key="problems" class="inspect-problems">
        <summary>
          {misunderstood} {misunderstood === 1 ? "message was" : "messages were"} not understood
        </summary>
        <ul>
          {problems.map(({ reason, count }) => (
            <li key={reason}>
              {count}× {reason}
            </li>
          ))}
        </ul>
      </details>,
    );
  if (dropped.actors > 0 || dropped.frames > 0)
    notes.push(
      <p key="dropped" class="kit-muted">
        To stay within bounds, {dropped.frames.toLocaleString("en")} of the oldest steps
        {dropped.actors > 0 ? ` and ${dropped.actors.toLocaleString("en")} actors` : ""} were let go.
      </p>,
    );
  return notes.length === 0 ? null : <div class="inspect-notes">{notes}</div>;
}
