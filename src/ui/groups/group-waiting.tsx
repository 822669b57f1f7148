/** Who waits in a group, in order: place, run, age, priority. Why a run waits is asked for when someone wants to know. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { GroupView, RunView } from "../../protocol/view.ts";
import { call, describeError } from "../api.ts";
import { Button } from "../kit/button.tsx";
import { RunLink } from "../kit/links.tsx";
import { Duration } from "../kit/time.tsx";
import { Link } from "../router.tsx";
import { runsAt } from "../workflows/filter-address.ts";
import { secondsText } from "./group-row.tsx";
import { bornAt } from "./run-age.ts";

export interface GroupWaitingProps {
  readonly group: GroupView;
  readonly runs: ReadonlyMap<string, RunView>;
}

export function GroupWaiting({ group, runs }: GroupWaitingProps): JSX.Element {
  const { waiting, waitingRuns, limit, key } = group;
  return (
    <section class="groups-section" aria-label="Waiting line">
      <h2>
        Waiting line{" "}
        <span class="kit-muted">
          {waiting === 0 ? "nobody waits" : `${waiting.toLocaleString("en")} ${waiting === 1 ? "run" : "runs"}, in order`}
        </span>
      </h2>
      {waiting > 0 && (
        <ol class="groups-runs groups-waiting">
          {waitingRuns.map((id, i) => (
            <WaitingRun key={id} id={id} place={i + 1} run={runs.get(id)} inSeconds={expected(group, i + 1)} />
          ))}
          {waitingRuns.length < waiting && (
            <li class="groups-run-rest">
              <Link href={runsAt({ status: "QUEUED", group: `${limit}/${key}` })}>
                and {(waiting - waitingRuns.length).toLocaleString("en")} more
              </Link>
            </li>
          )}
        </ol>
      )}
    </section>
  );
}

interface WaitingRunProps {
  readonly id: string;
  readonly place: number;
  readonly run: RunView | undefined;
  /** Until it is admitted, at the present rate. */
  readonly inSeconds: number | undefined;
}

function expected({ paused, startsPerMinute }: GroupView, place: number): number | undefined {
  return paused || startsPerMinute <= 0 ? undefined : (place * 60) / startsPerMinute;
}

function WaitingRun({ id, place, run, inSeconds }: WaitingRunProps): JSX.Element {
  const [why, setWhy] = useState<string | undefined>(undefined);
  const ask = async () => {
    try {
      setWhy((await call("run.explain", { id })).sentence);
    } catch (error) {
      setWhy(describeError(error));
    }
  };
  const born = run?.createdAt ?? isoOf(id);
  return (
    <li data-run={id} data-place={place}>
      <span class="groups-place">{place}</span>
      <RunLink id={id} />
      <span class="groups-run-what kit-muted">
        {run !== undefined && run.priority !== 0 && <span title="Higher goes first">priority {run.priority}</span>}
        {run !== undefined && run.priority !== 0 && " · "}
        {place === 1 && "next"}
        {place === 1 && inSeconds !== undefined && ", "}
        {inSeconds !== undefined && <span title="Until it is admitted, at the present rate">in ~{secondsText(inSeconds)}</span>}
      </span>
      <Button kind="quiet" aria-expanded={why !== undefined} onClick={() => (why === undefined ? void ask() : setWhy(undefined))}>
        Why?
      </Button>
      <span class="groups-run-age">
        <Duration from={born} />
      </span>
      {why !== undefined && <p class="groups-why">{why}</p>}
    </li>
  );
}

function isoOf(id: string): string | undefined {
  const born = bornAt(id);
  return born === undefined ? undefined : new Date(born).toISOString();
}
