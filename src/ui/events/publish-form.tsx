/** Publishes an event as any NATS client would: a name, JSON, perhaps metadata and a priority. */
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { call, describeError } from "../api.ts";
import { Button } from "../kit/button.tsx";
import { toast } from "../kit/toast.tsx";
import { JsonField } from "../workflows/json-field.tsx";
import { isSchema as isObject } from "../workflows/schema.ts";

export interface PublishFormProps {
  /** What the list is filtered by. */
  readonly name: string;
  readonly onClose: () => void;
}

export function PublishForm({ name: given, onClose }: PublishFormProps): JSX.Element {
  const [name, setName] = useState(given);
  const [payload, setPayload] = useState<unknown>({});
  const [metadata, setMetadata] = useState<unknown>(undefined);
  const [priority, setPriority] = useState("");
  const [unreadable, setUnreadable] = useState<Readonly<Record<string, string | undefined>>>({});
  const [failure, setFailure] = useState<string | undefined>(undefined);
  const [busy, setBusy] = useState(false);
  const [known, setKnown] = useState<readonly string[]>([]);
  const first = useRef<HTMLInputElement>(null);
  useEffect(() => {
    first.current?.focus();
    const request = new AbortController();
    call("workflow.list", {}, request.signal).then(
      ({ items }) =>
        setKnown([...new Set(items.flatMap(({ spec }) => spec.on))].filter((pattern) => !/[*>]/.test(pattern)).sort()),
      () => {
        // Names are typed without being suggested.
      },
    );
    return () => request.abort();
  }, []);

  const publish = async () => {
    const order = priority.trim() === "" ? undefined : Number(priority);
    const problem =
      nameProblem(name) ??
      (unreadable["payload"] !== undefined ? "The payload is not JSON." : undefined) ??
      (payload === undefined ? "The payload is empty: write any JSON, such as {}." : undefined) ??
      (unreadable["metadata"] !== undefined || (metadata !== undefined && !isObject(metadata))
        ? "Metadata is a JSON object."
        : undefined) ??
      (order !== undefined && !Number.isFinite(order) ? "The priority is a number." : undefined);
    setFailure(problem);
    if (problem !== undefined) return;
    setBusy(true);
    try {
      await call("event.publish", {
        name,
        payload,
        ...(isObject(metadata) && { metadata: { ...metadata } }),
        ...(order !== undefined && { priority: order }),
      });
      toast(`Published ${name}`, "ok");
    } catch (error) {
      setFailure(describeError(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <form
      class="events-form"
      aria-label="Publish an event"
      onSubmit={(event) => {
        event.preventDefault();
        if (!busy) void publish();
      }}
      onInput={() => setFailure(undefined)}
      onKeyDown={(event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !busy) void publish();
      }}
    >
      <h2>Publish an event</h2>
      <label>
        Name
        <input
          ref={first}
          class="kit-input"
          list="events-known"
          placeholder="user.created"
          spellcheck={false}
          value={name}
          onInput={(event) => setName(event.currentTarget.value.trim())}
        />
        <datalist id="events-known">
          {known.map((one) => (
            <option key={one} value={one} />
          ))}
        </datalist>
      </label>
      <div class="events-json">
        <span>Payload</span>
        <JsonField
          label="Payload as JSON"
          rows={8}
          value={payload}
          onChange={setPayload}
          onProblem={(problem) => setUnreadable((before) => ({ ...before, payload: problem }))}
        />
      </div>
      <details>
        <summary>Metadata, priority</summary>
        <div class="events-json">
          <span>Metadata</span>
          <JsonField
            label="Metadata as JSON"
            rows={2}
            value={metadata}
            onChange={setMetadata}
            onProblem={(problem) => setUnreadable((before) => ({ ...before, metadata: problem }))}
          />
        </div>
        <label>
          Priority
          <input
            class="kit-input"
            inputMode="decimal"
            placeholder="0"
            value={priority}
            onInput={(event) => setPriority(event.currentTarget.value)}
          />
        </label>
      </details>
      {failure !== undefined && (
        <p class="events-error" role="alert">
          {failure}
        </p>
      )}
      <div class="events-buttons">
        <button type="submit" class="kit-button" data-kind="primary" disabled={busy} title="Ctrl+Enter">
          {busy ? "Publishing…" : "Publish"}
        </button>
        <Button onClick={onClose}>Close</Button>
      </div>
    </form>
  );
}

/** Names are one or more tokens of a NATS subject. */
function nameProblem(name: string): string | undefined {
  if (name === "") return "An event needs a name.";
  return /^[^\s.*>]+(\.[^\s.*>]+)*$/.test(name)
    ? undefined
    : "A name is one or more words between dots, without spaces, * and >.";
}
