/** Publishes the events of the example workflows: enough of them that something waits, is replaced, and takes turns. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { call, describeError } from "../api.ts";
import { Button } from "../kit/button.tsx";
import { toast } from "../kit/toast.tsx";

const USERS = ["ada", "grace", "linus", "margaret"];
const EVENTS: readonly { readonly name: string; readonly payload: unknown }[] = [
  ...Array.from({ length: 12 }, () => ({ name: "concurrency-test", payload: {} })),
  ...USERS.flatMap((user_id) => Array.from({ length: 3 }, () => ({ name: "per-user-test", payload: { user_id } }))),
  ...USERS.slice(0, 2).flatMap((user_id) => Array.from({ length: 2 }, () => ({ name: "cancel-test", payload: { user_id } }))),
];

export function DemoButton(): JSX.Element {
  const [busy, setBusy] = useState(false);
  const publish = async () => {
    setBusy(true);
    try {
      // One after the other: their order is part of the demo.
      for (const event of EVENTS) await call("event.publish", event);
      toast(`${EVENTS.length} events published`, "ok");
    } catch (error) {
      toast(describeError(error), "bad");
    } finally {
      setBusy(false);
    }
  };
  return (
    <Button kind="primary" disabled={busy} onClick={() => void publish()}>
      Publish demo events
    </Button>
  );
}
