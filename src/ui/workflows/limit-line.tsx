/** One limit of a workflow in a line: how many at once, per what, and what happens beyond. */
import type { JSX } from "preact";
import type { LimitSpec } from "../../workflow/spec.ts";
import { StrategyName } from "../groups/strategy.tsx";
import { Link } from "../router.tsx";

export function LimitLine({ limit }: { readonly limit: LimitSpec }): JSX.Element {
  return (
    <span class="flows-limit">
      <Link href={`/groups?q=${encodeURIComponent(`limit:${limit.name}`)}`} title={`Groups of limit ${limit.name}`}>
        {limit.maxRuns} per
      </Link>{" "}
      {limit.key.kind === "cel" ? (
        <code title="An expression, computed by the engine">{limit.key.expression}</code>
      ) : (
        <span title="A function of the definition, computed by workers">key function</span>
      )}{" "}
      <StrategyName strategy={limit.strategy} />
    </span>
  );
}
