/** The topics of a stream, as its address names them. */
import type { LiveTopic } from "../../protocol/live.ts";

export type ParsedTopic =
  | { readonly kind: "runs" | "groups" | "workflows" | "workers" | "events" | "health" | "inspect"; readonly topic: LiveTopic }
  | { readonly kind: "run"; readonly topic: LiveTopic; readonly run: string }
  | { readonly kind: "group"; readonly topic: LiveTopic; readonly limit: string; readonly key: string };

const WHOLE = ["runs", "groups", "workflows", "workers", "events", "health", "inspect"] as const;
const MAX_TOPICS = 50;
const MAX_TOPIC_CHARS = 4_096;

/** `undefined` with what was wrong instead, for an answer. */
export function parseTopics(text: string): { readonly topics: readonly ParsedTopic[] } | { readonly problem: string } {
  const names = [...new Set(text.split(",").filter((part) => part !== ""))];
  if (names.length === 0)
    return { problem: `'topics': expected at least one of ${WHOLE.join(", ")}, run:<id>, group:<limit>/<key>` };
  if (names.length > MAX_TOPICS) return { problem: `'topics': expected at most ${MAX_TOPICS}, got ${names.length}` };
  const topics: ParsedTopic[] = [];
  for (const name of names) {
    const topic = parseTopic(decode(name));
    if (topic === undefined)
      return {
        problem: `'topics': expected ${WHOLE.join(", ")}, run:<id> or group:<limit>/<key>, got ${JSON.stringify(name.slice(0, 100))}`,
      };
    topics.push(topic);
  }
  return { topics };
}

function parseTopic(name: string | undefined): ParsedTopic | undefined {
  if (name === undefined || name.length > MAX_TOPIC_CHARS) return undefined;
  const whole = WHOLE.find((one) => one === name);
  if (whole !== undefined) return { kind: whole, topic: whole };
  if (name.startsWith("run:")) {
    const run = name.slice("run:".length);
    // It becomes a token of a subject.
    return /^[A-Za-z0-9_-]{1,256}$/.test(run) ? { kind: "run", topic: `run:${run}`, run } : undefined;
  }
  if (!name.startsWith("group:")) return undefined;
  const path = name.slice("group:".length);
  const slash = path.indexOf("/");
  const [limit, key] = [path.slice(0, slash), path.slice(slash + 1)];
  return slash < 1 || key === "" ? undefined : { kind: "group", topic: `group:${limit}/${key}`, limit, key };
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
