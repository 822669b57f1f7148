/** Events in few words: XState's own ones are long, and say the same again in their names. Pure. */
export type EventTone = "plain" | "ok" | "bad" | "timer" | "quiet";

export function eventText(type: string): { readonly text: string; readonly tone: EventTone } {
  if (type === "") return { text: "registered", tone: "quiet" };
  if (type === "xstate.init") return { text: "starts", tone: "quiet" };
  if (type === "xstate.stop") return { text: "stop", tone: "quiet" };
  if (type === "xstate.promise.resolve") return { text: "resolves", tone: "ok" };
  if (type === "xstate.promise.reject") return { text: "rejects", tone: "bad" };
  const done = /^xstate\.done\.(?:actor|state)\.(.*)$/.exec(type);
  if (done !== null) return { text: `done: ${place(done[1])}`, tone: "ok" };
  const error = /^xstate\.error\.actor\.(.*)$/.exec(type);
  if (error !== null) return { text: `error: ${place(error[1])}`, tone: "bad" };
  const after = /^xstate\.after\.([^.]+)\.(.*)$/.exec(type);
  if (after !== null) return { text: `after ${/^\d+$/.test(after[1] ?? "") ? `${after[1]} ms` : after[1]}`, tone: "timer" };
  const snapshot = /^xstate\.snapshot\.(.*)$/.exec(type);
  if (snapshot !== null) return { text: `snapshot: ${place(snapshot[1])}`, tone: "quiet" };
  return { text: type, tone: "plain" };
}

/** `0.shop.busy` is what is invoked in `busy`. */
function place(id = ""): string {
  return (
    id
      .replace(/^\d+\./, "")
      .split(".")
      .at(-1) ?? id
  );
}
