/** One group in the list. Drawn again only when its view changes; ages tick on their own. */
import type { JSX } from "preact";
import { memo } from "preact/compat";
import type { GroupView } from "../../protocol/view.ts";
import { Button } from "../kit/button.tsx";
import { GroupLink } from "../kit/links.tsx";
import { Duration } from "../kit/time.tsx";
import { durationText } from "../kit/time-text.ts";
import type { GroupChange } from "./group-actions.ts";
import { LimitEditor } from "./limit-editor.tsx";
import { SlotMarks, WaitingMarks } from "./slot-marks.tsx";
import { StrategyName } from "./strategy.tsx";

export interface GroupRowProps {
  readonly group: GroupView;
  readonly id: string;
  readonly selected: boolean;
  readonly editing: boolean;
  readonly readOnly: boolean;
  readonly onChange: (id: string, change: GroupChange) => void;
  /** Undefined closes the editor. */
  readonly onEdit: (id: string | undefined) => void;
}

export const GroupRow = memo(function GroupRow(props: GroupRowProps): JSX.Element {
  const { group, id, selected, editing, readOnly, onChange, onEdit } = props;
  const idle = group.active === 0 && group.waiting === 0;
  return (
    <div
      class="groups-row"
      role="listitem"
      data-group={id}
      data-paused={group.paused}
      data-idle={idle}
      aria-current={selected ? "true" : undefined}
    >
      <div class="groups-key">
        <GroupLink limit={group.limit} groupKey={group.key} />
        <span class="groups-limit-name" title={`Limit ${group.limit}`}>
          {group.limit}
        </span>
      </div>
      <div class="groups-cell-strategy">
        <StrategyName strategy={group.strategy} />
      </div>
      <div class="groups-cell-slots">
        <SlotMarks group={group} />
      </div>
      <div class="groups-cell-line">
        <WaitingMarks group={group} />
      </div>
      <div class="groups-cell-oldest" data-label="oldest">
        {group.oldestWaitingAt !== undefined && <Duration from={group.oldestWaitingAt} />}
      </div>
      <div class="groups-cell-rate" data-label="per min">
        {rateText(group.startsPerMinute)}
      </div>
      <div class="groups-cell-drain" data-label="drain">
        {drainText(group)}
      </div>
      <div class="groups-cell-state">
        {editing ? (
          <LimitEditor
            group={group}
            onSave={(maxRuns) => onChange(id, { kind: "limit", maxRuns })}
            onClose={() => onEdit(undefined)}
          />
        ) : (
          <>
            <GroupFlags group={group} />
            {!readOnly && (
              <span class="groups-actions">
                <Button
                  kind="quiet"
                  data-action="limit"
                  title="Change the number of slots (e)"
                  aria-label={`Change the limit of ${group.key}`}
                  onClick={() => onEdit(id)}
                >
                  Limit
                </Button>
                <Button
                  kind="quiet"
                  data-action={group.paused ? "resume" : "pause"}
                  title={group.paused ? "Admit runs again (p)" : "Admit no further runs (p)"}
                  aria-label={`${group.paused ? "Resume" : "Pause"} ${group.key}`}
                  onClick={() => onChange(id, { kind: group.paused ? "resume" : "pause" })}
                >
                  {group.paused ? "Resume" : "Pause"}
                </Button>
              </span>
            )}
          </>
        )}
      </div>
    </div>
  );
});

export function GroupFlags({ group }: { readonly group: GroupView }): JSX.Element {
  return (
    <span class="groups-flags">
      {group.paused && (
        <span class="groups-flag" data-flag="paused" title="Paused: active runs go on, nobody is admitted">
          paused
        </span>
      )}
      {group.overridden === true && (
        <span class="groups-flag" data-flag="overridden" title="This group has a limit of its own">
          own limit
        </span>
      )}
    </span>
  );
}

export function rateText(perMinute: number): string {
  if (perMinute <= 0) return "–";
  return perMinute < 10 ? perMinute.toFixed(1) : Math.round(perMinute).toLocaleString("en");
}

/** An estimate has no tenths. */
export function secondsText(seconds: number): string {
  const whole = Math.max(1, Math.round(seconds));
  return whole < 60 ? `${whole} s` : durationText(whole * 1_000);
}

export function drainText(group: GroupView): string {
  if (group.waiting === 0) return "";
  if (group.paused) return "paused";
  return group.drainSeconds === undefined ? "–" : `~${secondsText(group.drainSeconds)}`;
}
