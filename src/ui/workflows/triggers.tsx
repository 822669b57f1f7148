/** What starts runs of a workflow: events, and crons with the times at which they are due next. */
import type { JSX } from "preact";
import type { CronSpec } from "../../workflow/spec.ts";
import { Link } from "../router.tsx";
import { now } from "../kit/clock.ts";
import { relativeText } from "../kit/time-text.ts";

export function EventNames({ on }: { readonly on: readonly string[] }): JSX.Element {
  return (
    <>
      {on.map((name) => (
        <Link
          key={name}
          class="flows-chip"
          data-kind="event"
          href={`/events?name=${encodeURIComponent(name)}`}
          title={`Runs on event ${name}`}
        >
          {name}
        </Link>
      ))}
    </>
  );
}

export function CronName({ cron }: { readonly cron: CronSpec }): JSX.Element {
  return (
    <span class="flows-chip" data-kind="cron" title={`cron, ${cron.timezone ?? "UTC"}`}>
      {cron.expression}
      {cron.timezone !== undefined && <span class="kit-muted"> {cron.timezone}</span>}
    </span>
  );
}

/** In the viewer's zone; UTC on hover. */
export function CronTime({ at }: { readonly at: string }): JSX.Element {
  const ms = Date.parse(at);
  const local = new Date(ms);
  const today = local.toDateString() === new Date(now.value).toDateString();
  const text = local.toLocaleString(undefined, {
    ...(!today && { weekday: "short", day: "numeric", month: "short" }),
    hour: "2-digit",
    minute: "2-digit",
    ...(local.getSeconds() !== 0 && { second: "2-digit" }),
  });
  return (
    <time class="flows-cron-time" dateTime={at} title={`${at.replace("T", " ").replace(/(\.000)?Z$/, "")} UTC`}>
      {text} <span class="kit-muted">{relativeText(ms, now.value)}</span>
    </time>
  );
}
