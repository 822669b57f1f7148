/** How a run ended, as one sentence in parts: what, after how long, by whom, with which error. Pure. */
import type { RunView } from "../../../protocol/view.ts";
import type { Life } from "./life.ts";
import type { Part } from "./sentence.ts";
import { shortSpan } from "./span-text.ts";

export function endingParts(run: RunView, life: Life): Part[] {
  const { createdAt, startedAt, admittedAt, finishedAt = createdAt } = run;
  const text = (value: string): Part => ({ kind: "text", text: value });
  const span = (from: string | undefined): string => shortSpan(Date.parse(finishedAt) - Date.parse(from ?? createdAt));
  const waited = admittedAt === undefined ? 0 : Date.parse(admittedAt) - Date.parse(createdAt);
  const waiting = waited >= 100 ? `, ${shortSpan(waited)} of it waiting` : "";
  if (run.status === "SUCCEEDED") return [text(`It succeeded after ${span(createdAt)}${waiting}`), ...retried(run), text(".")];
  if (run.status === "FAILED") return failure(run, span(startedAt ?? createdAt));
  return cancellation(run, life, span);
}

function retried(run: RunView): Part[] {
  const more = Object.entries(run.steps).filter(([, { attempts }]) => attempts > 1);
  if (more.length === 0) return [];
  return more.flatMap(([name, { attempts }], index): Part[] => [
    { kind: "text", text: index === 0 ? "; " : index === more.length - 1 ? " and " : ", " },
    { kind: "step", name },
    { kind: "text", text: ` took ${attempts} attempts` },
  ]);
}

function failure(run: RunView, span: string): Part[] {
  const { error, reason = "FAILED" } = run;
  const step = field(error, "step");
  const why: Part[] =
    error === undefined
      ? []
      : [
          { kind: "text", text: ": " },
          { kind: "quote", text: error.message },
        ];
  if (step === undefined) return [{ kind: "text", text: `It failed after ${span} (${reason})` }, ...why];
  const { attempts = 1, worker } = run.steps[step] ?? {};
  const at: Part[] =
    worker === undefined
      ? []
      : [
          { kind: "text", text: " on worker " },
          { kind: "worker", id: worker },
        ];
  return [
    { kind: "text", text: `It failed after ${span}: ` },
    { kind: "step", name: step },
    { kind: "text", text: ` ${reason === "STEP_TIMED_OUT" ? "timed out" : "failed"} in attempt ${attempts}` },
    ...at,
    ...why,
  ];
}

const CAUSES: Readonly<Record<string, string>> = {
  superseded: "a newer run took its place",
  full: "there was no room",
  outranked: "no active run ranks below it",
  "limit lowered": "the limit was lowered",
};

function cancellation(run: RunView, life: Life, span: (from: string | undefined) => string): Part[] {
  const { reason, startedAt, keys, error } = run;
  const when = startedAt === undefined ? "before it had started" : `${span(startedAt)} after its first step had started`;
  if (reason === "CANCELLED_BY_USER") return [{ kind: "text", text: `It was cancelled by a user, ${when}.` }];
  if (reason === "CANCELLED_BY_CONCURRENCY_LIMIT") {
    const { cause, by, from } = decisionOf(life);
    const key = keys.find(({ limit, key }) => from === `group:${limit}/${key}`) ?? keys[0];
    return [
      { kind: "text", text: "It was cancelled by " },
      ...(key === undefined
        ? [{ kind: "text", text: "its limit" } as const]
        : [{ kind: "group", limit: key.limit, key: key.key, text: key.key } as const]),
      { kind: "text", text: `, ${when}` },
      ...(cause === undefined
        ? []
        : [{ kind: "text", text: `: ${Object.hasOwn(CAUSES, cause) ? CAUSES[cause] : cause}` } as const]),
      ...(by === undefined ? [] : [{ kind: "text", text: ", " } as const, { kind: "run", id: by } as const]),
      { kind: "text", text: "." },
    ];
  }
  if (reason === "SCHEDULING_TIMED_OUT")
    return [{ kind: "text", text: `It was cancelled since no worker took a step of it in time, after ${span(run.createdAt)}.` }];
  return [
    { kind: "text", text: `It was cancelled (${reason ?? "without a reason"}), ${when}` },
    ...(error === undefined
      ? [{ kind: "text", text: "." } as const]
      : [{ kind: "text", text: ": " } as const, { kind: "quote", text: error.message } as const]),
  ];
}

/** What its group said when it cancelled it. */
function decisionOf({ frames }: Life): { readonly cause?: string; readonly by?: string; readonly from?: string } {
  const frame = frames.findLast(({ type, data }) => type === "run.cancelled" && field(data, "cause") !== undefined);
  if (frame === undefined) return {};
  const cause = field(frame.data, "cause");
  const by = field(frame.data, "by");
  return { ...(cause !== undefined && { cause }), ...(by !== undefined && { by }), from: frame.from };
}

function field(data: unknown, name: string): string | undefined {
  const value = typeof data === "object" && data !== null ? (data as Readonly<Record<string, unknown>>)[name] : undefined;
  return typeof value === "string" ? value : undefined;
}
