/** How many runs of a workflow are open, succeeded, failed and were cancelled; each a link to them. */
import type { JSX } from "preact";
import type { Population } from "../../protocol/record.ts";
import type { RunStatus } from "../../protocol/view.ts";
import { statusText } from "../kit/status-badge.tsx";
import { Link } from "../router.tsx";
import { runsAt } from "./filter-address.ts";

const STATUSES: readonly RunStatus[] = ["QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"];

export interface CountsProps {
  readonly workflow: string;
  readonly population: Population | undefined;
}

export function Counts({ workflow, population }: CountsProps): JSX.Element {
  return (
    <span class="flows-counts">
      {STATUSES.map((status) => {
        const count = population?.statuses[status];
        return (
          <Link
            key={status}
            href={runsAt({ workflow, status })}
            data-status={status}
            data-zero={count === undefined || count === 0}
            title={`${statusText(status)} runs of ${workflow}`}
          >
            <b>{count === undefined ? "·" : count.toLocaleString("en")}</b> <span>{statusText(status).toLowerCase()}</span>
          </Link>
        );
      })}
    </span>
  );
}
