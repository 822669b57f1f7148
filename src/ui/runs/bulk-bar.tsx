/** What can be done with the selected runs, how far it is, and how it ended. Floats over the end of the list. */
import { signal } from "@preact/signals";
import type { JSX } from "preact";
import type { RunListQuery } from "../../protocol/view.ts";
import { call, describeError } from "../api.ts";
import { Button } from "../kit/button.tsx";
import { Dialog } from "../kit/dialog.tsx";
import { Progress } from "../kit/progress.tsx";
import { toast } from "../kit/toast.tsx";
import { readOnly } from "../shell/about.ts";
import {
  applicable,
  bulk,
  type BulkKind,
  type BulkProgress,
  type BulkTarget,
  dismissBulk,
  isWorking,
  startBulk,
  stopBulk,
} from "./bulk.ts";
import { countText } from "./counters.tsx";
import type { RunList } from "./run-list.ts";
import { isOver } from "./run-row.ts";
import { clearSelection, isAnySelected, selectAllMatches, selection } from "./selection.ts";

interface Question {
  readonly kind: BulkKind;
  readonly target: BulkTarget;
  readonly total: number;
  readonly title: string;
  readonly lines: readonly string[];
}

const question = signal<Question | undefined>(undefined);
const WORDS = {
  cancel: { verb: "Cancel", doing: "Cancelling", done: "cancelled" },
  replay: { verb: "Replay", doing: "Replaying", done: "replayed" },
} as const;

/** Asks, and then does it: with the given runs, or with what is selected. */
export async function askBulk(kind: BulkKind, list: RunList, query: RunListQuery, ids?: readonly string[]): Promise<void> {
  if (readOnly.value) return;
  if (isWorking()) return toast("One at a time: wait for the end of the other, or stop it.", "bad");
  try {
    const chosen = selection.value;
    const asked = ids ?? (chosen.kind === "some" ? [...chosen.ids] : undefined);
    const made = asked === undefined ? await aboutMatches(kind, query) : aboutIds(kind, list, asked);
    if (made.total > 0) question.value = made;
    else toast(kind === "cancel" ? "All of them have ended already." : "None of them has ended yet.", "plain");
  } catch (error) {
    toast(describeError(error), "bad");
  }
}

function aboutIds(kind: BulkKind, list: RunList, ids: readonly string[]): Question {
  const fit = ids.filter((id) => {
    const row = list.row(list.indexOf(id));
    // Those that are out of memory are left to the server.
    return row === undefined || isOver(row.status) === (kind === "replay");
  });
  const others = ids.length - fit.length;
  return {
    kind,
    target: { ids: fit },
    total: fit.length,
    title: `${WORDS[kind].verb} ${runs(fit.length)}?`,
    lines: [meaning(kind), ...(others > 0 ? [leftOut(kind, others)] : [])],
  };
}

async function aboutMatches(kind: BulkKind, query: RunListQuery): Promise<Question> {
  const until = query.until ?? new Date().toISOString();
  const fit = applicable(kind, { ...query, until });
  if (fit === undefined) return { kind, target: { ids: [] }, total: 0, title: "", lines: [] };
  const [counted, all] = await Promise.all([call("run.count", fit), call("run.count", { ...query, until })]);
  const others = all.count - counted.count;
  return {
    kind,
    target: { query: fit },
    total: counted.count,
    title: `${WORDS[kind].verb} ${counted.atLeast ? "more than " : ""}${runs(counted.count)}?`,
    lines: [
      "These are all that match the filter now, not only those in view.",
      meaning(kind),
      ...(others > 0 ? [leftOut(kind, others)] : []),
    ],
  };
}

function meaning(kind: BulkKind): string {
  return kind === "cancel"
    ? "Waiting runs leave their queues; steps that are at work are told to stop."
    : "Each starts once more, as a new run with the same input.";
}

function leftOut(kind: BulkKind, others: number): string {
  if (kind === "cancel")
    return `${runs(others)} of the selection ${others === 1 ? "has" : "have"} ended already and ${others === 1 ? "stays" : "stay"} as ${others === 1 ? "it is" : "they are"}.`;
  return `${runs(others)} of the selection ${others === 1 ? "has" : "have"} not ended yet and ${others === 1 ? "is" : "are"} left out.`;
}

export interface BulkBarProps {
  readonly list: RunList;
  readonly query: () => RunListQuery;
}

export function BulkBar({ list, query }: BulkBarProps): JSX.Element | null {
  const progress = bulk.value;
  const asked = question.value;
  return (
    <>
      {progress !== undefined ? <Working progress={progress} /> : isAnySelected.value && <Selected list={list} query={query} />}
      {asked !== undefined && (
        <Dialog
          title={asked.title}
          confirm={asked.title.replace("?", "")}
          kind={asked.kind === "cancel" ? "danger" : "primary"}
          onClose={() => {
            question.value = undefined;
          }}
          onConfirm={() => {
            question.value = undefined;
            clearSelection();
            void startBulk(asked.kind, asked.target, asked.total);
          }}
        >
          {asked.lines.map((line) => (
            <p key={line}>{line}</p>
          ))}
        </Dialog>
      )}
    </>
  );
}

function Selected({ list, query }: BulkBarProps): JSX.Element {
  const chosen = selection.value;
  const matches = list.matches.value;
  const ask = (kind: BulkKind) => void askBulk(kind, list, query());
  return (
    <div class="runs-bulk" role="region" aria-label="Selected runs">
      <b>
        {chosen.kind === "all"
          ? `All ${countText(matches)} matches selected`
          : `${chosen.ids.size.toLocaleString("en")} selected`}
      </b>
      {chosen.kind === "some" && matches !== undefined && matches.count > chosen.ids.size && (
        <Button kind="quiet" onClick={selectAllMatches}>
          Select all {countText(matches)} matches
        </Button>
      )}
      {!readOnly.value && (
        <>
          <Button kind="danger" onClick={() => ask("cancel")}>
            Cancel
          </Button>
          <Button onClick={() => ask("replay")}>Replay</Button>
        </>
      )}
      <Button kind="quiet" onClick={clearSelection}>
        Clear
      </Button>
    </div>
  );
}

function Working({ progress }: { readonly progress: BulkProgress }): JSX.Element {
  const { kind, total, done, failed, failures, state, problem } = progress;
  const words = WORDS[kind];
  const number = (value: number) => value.toLocaleString("en");
  const left = Math.max(0, total - done - failed);
  const working = state === "working" || state === "stopping";
  const [first] = failures.keys();
  return (
    <div class="runs-bulk runs-bulk-working" role="region" aria-label={`${words.doing} runs`} data-state={state}>
      <div class="runs-bulk-line">
        <b>{working ? `${words.doing} ${runs(total)}` : `${number(done)} ${words.done}`}</b>
        <span class="kit-muted">
          {working && `${number(done)} done, `}
          {failed > 0 && <span class="runs-bulk-failed">{number(failed)} failed, </span>}
          {state === "done" ? "all done" : `${number(left)} left`}
          {state === "stopping" && ", stopping …"}
          {state === "stopped" && ", stopped"}
        </span>
        {working ? (
          <Button onClick={stopBulk} disabled={state === "stopping"}>
            Stop
          </Button>
        ) : (
          <Button kind="quiet" onClick={dismissBulk}>
            Dismiss
          </Button>
        )}
      </div>
      <Progress label={`${words.doing} runs`} done={done} failed={failed} total={total} />
      {(problem ?? first) !== undefined && <small class="runs-bulk-failed">{problem ?? first}</small>}
    </div>
  );
}

function runs(count: number): string {
  return `${count.toLocaleString("en")} ${count === 1 ? "run" : "runs"}`;
}
