/** The page of one group: its numbers, who has its slots, who waits and why, its machine, and everything that it decided. */
import type { JSX } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import type { GroupView } from "../../protocol/view.ts";
import { call, describeError, isAbort } from "../api.ts";
import { Button } from "../kit/button.tsx";
import { EmptyState } from "../kit/empty-state.tsx";
import { useKeys } from "../kit/keys.tsx";
import { Duration } from "../kit/time.tsx";
import { useLive } from "../live.ts";
import { Link, route } from "../router.tsx";
import { readOnly } from "../shell/about.ts";
import { changeGroup, type GroupChange } from "./group-actions.ts";
import { DecisionLog } from "./decision-log.tsx";
import { GroupMachine } from "./group-machine.tsx";
import { drainText, GroupFlags, rateText } from "./group-row.tsx";
import { GroupRows, groupId } from "./group-rows.ts";
import { useGroupRuns } from "./group-runs.ts";
import { GroupSlots } from "./group-slots.tsx";
import { GroupTrend } from "./group-trend.tsx";
import { GroupWaiting } from "./group-waiting.tsx";
import { LimitEditor } from "./limit-editor.tsx";
import { SlotMarks } from "./slot-marks.tsx";
import { StrategyName } from "./strategy.tsx";
import { useMedia } from "./use-media.ts";
import "./groups.css";

export function GroupPage(): JSX.Element {
  const [, limit = "", key = ""] = route.value.path;
  // Another group is another page: nothing of the one before may shine through.
  return <OneGroup key={groupId({ limit, key })} limit={limit} groupKey={key} />;
}

function OneGroup({ limit, groupKey }: { readonly limit: string; readonly groupKey: string }): JSX.Element {
  const { group, error, change } = useGroup(limit, groupKey);
  const runs = useGroupRuns(limit, groupKey);
  useEffect(() => runs.refresh(), [runs, group]);
  const [editing, setEditing] = useState(false);
  const narrow = useMedia("(max-width: 860px)");
  const isReadOnly = readOnly.value;
  useKeys({
    ...(!isReadOnly && {
      p: { does: "pause or resume the group", run: () => change({ kind: group?.paused === true ? "resume" : "pause" }) },
      e: { does: "change the limit", run: () => setEditing(true) },
    }),
  });
  if (group === undefined)
    return error === undefined ? (
      <div class="groups-group" aria-busy="true" />
    ) : (
      <EmptyState
        title={`There is no group “${groupKey}” of limit “${limit}”`}
        text={error}
        action={<Link href="/groups">All live groups</Link>}
      />
    );
  const byId = runs.byId.value;
  return (
    <div class="groups-group">
      <header class="groups-group-head">
        <div class="groups-title">
          <h1>{groupKey}</h1>
          <span class="kit-muted">
            limit <Link href={`/groups?q=${encodeURIComponent(`limit:${limit}`)}`}>{limit}</Link>
          </span>
          <StrategyName strategy={group.strategy} />
          <GroupFlags group={group} />
          {!isReadOnly && (
            <span class="groups-head-actions">
              {editing ? (
                <LimitEditor
                  group={group}
                  onSave={(maxRuns) => change({ kind: "limit", maxRuns })}
                  onClose={() => setEditing(false)}
                />
              ) : (
                <Button data-action="limit" title="Change the number of slots (e)" onClick={() => setEditing(true)}>
                  Change limit
                </Button>
              )}
              <Button
                data-action={group.paused ? "resume" : "pause"}
                kind={group.paused ? "primary" : "plain"}
                title={group.paused ? "Admit runs again (p)" : "Admit no further runs (p)"}
                onClick={() => change({ kind: group.paused ? "resume" : "pause" })}
              >
                {group.paused ? "Resume" : "Pause"}
              </Button>
            </span>
          )}
        </div>
        <div class="groups-numbers">
          <dl>
            <Number name="Slots">
              <SlotMarks group={group} />
            </Number>
            <Number name="Waiting">{group.waiting.toLocaleString("en")}</Number>
            <Number name="Oldest wait">
              {group.oldestWaitingAt === undefined ? "–" : <Duration from={group.oldestWaitingAt} />}
            </Number>
            <Number name="Starts per minute">{rateText(group.startsPerMinute)}</Number>
            <Number name="Drains in">{drainText(group) || "–"}</Number>
          </dl>
          <GroupTrend group={group} />
        </div>
      </header>
      <div class="groups-group-body">
        <div class="groups-group-left">
          <GroupSlots group={group} runs={byId} />
          <GroupWaiting group={group} runs={byId} />
        </div>
        <GroupMachine limit={limit} groupKey={groupKey} change={group} />
        <DecisionLog limit={limit} groupKey={groupKey} change={group} narrow={narrow} />
      </div>
    </div>
  );
}

function Number({ name, children }: { readonly name: string; readonly children: JSX.Element | string }): JSX.Element {
  return (
    <div class="groups-figure">
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** The group, live, with what the user has changed and is not confirmed yet. */
function useGroup(
  limit: string,
  key: string,
): { readonly group: GroupView | undefined; readonly error: string | undefined; readonly change: (what: GroupChange) => void } {
  const rows = useMemo(() => new GroupRows(), []);
  const id = groupId({ limit, key });
  const [, setVersion] = useState(0);
  const [error, setError] = useState<string | undefined>(undefined);
  const changed = () => setVersion((version) => version + 1);
  const put = (view: GroupView) => {
    rows.put(view);
    setError(undefined);
    changed();
  };
  const load = () => {
    call("group.get", { limit, key }).then(put, (reason: unknown) => {
      if (!isAbort(reason)) setError(describeError(reason));
    });
  };
  useEffect(load, [limit, key]);
  useLive(`group:${limit}/${key}`, (event, data) => {
    if (event === "group") put(data);
    else if (event === "reset") load();
  });
  const group = rows.view(id);
  return {
    group,
    error: group === undefined ? error : undefined,
    change: (what) => {
      if (group === undefined) return;
      void changeGroup(group, what, {
        expect: (expected) => {
          const takeBack = rows.expect(id, expected);
          changed();
          return () => {
            takeBack();
            changed();
          };
        },
        put,
      });
    },
  };
}
