/**
 * One line under the bar of every page: whether work flows, and if not, what holds it back; with links to what the sentence
 * names. Beside it the numbers, and whether the page itself is up to date.
 */
import type { ComponentChildren, JSX } from "preact";
import type { HealthVerdict, HealthView } from "../../protocol/record.ts";
import { durationText } from "../kit/time-text.ts";
import { connection, type Connection } from "../live.ts";
import { Link, pathTo } from "../router.tsx";
import { health } from "./health.ts";

type Tone = "ok" | "warn" | "bad" | "quiet";
const TONES: Readonly<Record<HealthVerdict, Tone>> = {
  flowing: "ok",
  idle: "quiet",
  "held back": "warn",
  "no worker": "bad",
  behind: "warn",
  starting: "quiet",
  stuck: "bad",
  disconnected: "bad",
};
const CONNECTIONS: Readonly<Record<Connection, { readonly tone: Tone; readonly text: string; readonly title: string }>> = {
  live: { tone: "ok", text: "live", title: "What you see changes as it happens" },
  reconnecting: { tone: "warn", text: "reconnecting", title: "The connection was cut; it comes back by itself" },
  paused: { tone: "quiet", text: "paused", title: "Nothing is fetched while the tab is hidden" },
  gone: { tone: "bad", text: "server gone", title: "The server does not answer; the page goes on by itself when it is back" },
};
/** Less is what a healthy history needs to take facts in. */
const BEHIND_MS = 2_000;

export function HealthLine(): JSX.Element {
  const view = health.value;
  const link = CONNECTIONS[connection.value];
  return (
    <section class="shell-health" aria-label="Health">
      <span class="shell-dot" data-tone={view === undefined ? "quiet" : TONES[view.verdict]} aria-hidden="true" />
      <span class="shell-sentence" title={view?.sentence}>
        {view === undefined ? "Asking the server …" : <Sentence view={view} />}
      </span>
      {view !== undefined && <Numbers view={view} />}
      <span class="shell-connection" data-tone={link.tone} title={link.title}>
        {link.text}
      </span>
    </section>
  );
}

function Numbers({ view }: { readonly view: HealthView }): JSX.Element {
  const { used, total } = view.slots;
  return (
    <span class="shell-numbers">
      {view.historyBehindMs > BEHIND_MS && <span data-tone="warn">history behind by {durationText(view.historyBehindMs)}</span>}
      {view.rejected > 0 && (
        <Link href="/events" title="Events and messages that could not be used">
          {count(view.rejected)} rejected
        </Link>
      )}
      <Link href="/runs?q=status%3Aqueued" title="Runs that wait">
        {count(view.waiting)} waiting
      </Link>
      <Link href="/runs?q=status%3Arunning" title="Runs that are active">
        {count(view.active)} active
      </Link>
      <Link href="/workers" title="Slots of the workers that are in use">
        {count(used)}/{count(total)} slots
      </Link>
      <span title="Runs that ended in the last minute">{count(Math.round(view.finishesPerMinute))}/min</span>
    </span>
  );
}

/** The sentence, with the first mention of each thing as a link; things that it does not mention follow it. */
function Sentence({ view }: { readonly view: HealthView }): JSX.Element {
  const links = new Map<string, string>();
  for (const { limit, key } of view.heldBackBy) {
    const href = pathTo("groups", limit, key);
    links.set(`${limit}:${key}`, href);
    if (!links.has(key)) links.set(key, href);
  }
  for (const { workflow } of view.noWorkerFor) links.set(workflow, pathTo("workflows", workflow));
  return <>{linked(view.sentence, links)}</>;
}

/** Exported for its test. */
export function linked(sentence: string, links: ReadonlyMap<string, string>): ComponentChildren[] {
  const parts: ComponentChildren[] = [];
  const used = new Set<string>();
  let rest = sentence;
  for (;;) {
    let at = -1;
    let name = "";
    for (const [candidate, href] of links) {
      if (used.has(href)) continue;
      const found = indexOfName(rest, candidate);
      // The earliest; of those at one place the longest.
      if (found !== -1 && (at === -1 || found < at || (found === at && candidate.length > name.length)))
        [at, name] = [found, candidate];
    }
    const href = links.get(name);
    if (at === -1 || href === undefined) return [...parts, rest];
    used.add(href);
    parts.push(
      rest.slice(0, at),
      <Link key={href} href={href}>
        {name}
      </Link>,
    );
    rest = rest.slice(at + name.length);
  }
}

/** As a word of its own: a key "a" is not the "a" in "waiting". */
function indexOfName(text: string, name: string): number {
  for (let at = text.indexOf(name); at !== -1; at = text.indexOf(name, at + 1)) {
    const isPart = (character: string | undefined) => character !== undefined && /[\p{L}\p{N}_-]/u.test(character);
    if (!isPart(text[at - 1]) && !isPart(text[at + name.length])) return at;
  }
  return -1;
}

function count(value: number): string {
  return value.toLocaleString("en");
}
