/** A group's machine as it is now: its chart with the state it is in, and how many runs it holds in which way. */
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { GroupMachineView, MachineDefinition } from "../../protocol/record.ts";
import { call, describeError, isAbort } from "../api.ts";
import { Chart } from "../chart/chart.tsx";

export interface GroupMachineProps {
  readonly limit: string;
  readonly groupKey: string;
  /** Changes when the group has. */
  readonly change: unknown;
}

const EVERY_MS = 500;
const NAMES: Readonly<Record<string, string>> = {
  active: "have a slot",
  stopping: "of them are stopping",
  waiting: "wait their turn",
  held: "wait for another group",
};

export function GroupMachine({ limit, groupKey, change }: GroupMachineProps): JSX.Element {
  const [machine, setMachine] = useState<GroupMachineView | undefined>(undefined);
  const [definition, setDefinition] = useState<MachineDefinition | undefined>(undefined);
  const [error, setError] = useState<string | undefined>(undefined);
  const asked = useRef(0);
  useEffect(() => {
    const request = new AbortController();
    const load = async () => {
      asked.current = performance.now();
      try {
        setMachine(await call("group.machine", { limit, key: groupKey }, request.signal));
        setError(undefined);
      } catch (reason) {
        if (!isAbort(reason)) setError(describeError(reason));
      }
    };
    const timer = setTimeout(() => void load(), Math.max(0, asked.current + EVERY_MS - performance.now()));
    return () => {
      clearTimeout(timer);
      request.abort();
    };
  }, [limit, groupKey, change]);
  const hash = machine?.machine;
  useEffect(() => {
    if (hash === undefined) return undefined;
    const request = new AbortController();
    call("machine.get", { hash }, request.signal).then(setDefinition, (reason: unknown) => {
      if (!isAbort(reason)) setError(describeError(reason));
    });
    return () => request.abort();
  }, [hash]);

  const leaf = machine?.active.at(-1);
  const counts = machine?.counts ?? {};
  const held = (counts["active"] ?? 0) + (counts["waiting"] ?? 0) + (counts["held"] ?? 0);
  return (
    <section class="groups-section groups-machine" aria-label="Machine">
      <h2>
        Machine{" "}
        <span class="kit-muted" data-state={leaf}>
          {leaf === undefined ? "" : `is ${leaf.slice(leaf.lastIndexOf(".") + 1)}`}
        </span>
      </h2>
      <div class="groups-counts">
        {Object.entries(NAMES).map(([name, text]) => (
          <span key={name} data-count={name} data-zero={(counts[name] ?? 0) === 0}>
            {/* Not a zero before it is known. */}
            <b>{machine === undefined ? "–" : (counts[name] ?? 0).toLocaleString("en")}</b> {text}
          </span>
        ))}
      </div>
      {error !== undefined && <p class="groups-error">{error}</p>}
      <div class="groups-chart">
        {definition !== undefined && machine !== undefined && (
          <Chart definition={definition} active={machine.active} {...(leaf !== undefined && { counts: { [leaf]: held } })} />
        )}
      </div>
    </section>
  );
}
