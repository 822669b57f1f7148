/** The strategies of limits by short names, and what each does, for hovering. */
import type { JSX } from "preact";
import type { Strategy } from "../../workflow/spec.ts";

interface About {
  readonly short: string;
  readonly does: string;
}

const ABOUT: Readonly<Record<Strategy, About>> = {
  GROUP_ROUND_ROBIN: {
    short: "round robin",
    does: "Newcomers wait, nothing is cancelled; groups that compete for something scarce take turns.",
  },
  CANCEL_IN_PROGRESS: {
    short: "replace running",
    does: "When the group is full, a newcomer replaces the oldest active run of the lowest priority, which is cancelled.",
  },
  CANCEL_NEWEST: { short: "refuse newcomers", does: "When the group is full, newcomers are cancelled." },
  CANCEL_QUEUED_EXCEPT_NEWEST: {
    short: "keep newest waiting",
    does: "Newcomers wait; of the waiting runs all but the newest are cancelled.",
  },
  CANCEL_QUEUED_EXCEPT_OLDEST: {
    short: "keep oldest waiting",
    does: "Newcomers wait; of the waiting runs all but the oldest are cancelled.",
  },
};

export function StrategyName({ strategy }: { readonly strategy: Strategy }): JSX.Element {
  const { short, does } = ABOUT[strategy];
  return (
    <span class="groups-strategy" title={`${strategy}\n${does}`}>
      {short}
    </span>
  );
}

export function strategySentence(strategy: Strategy): string {
  return ABOUT[strategy].does;
}
