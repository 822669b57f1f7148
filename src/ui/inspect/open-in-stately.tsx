/** A button that shows a run in Stately's inspector, after saying what that means. */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Button } from "../kit/button.tsx";
import { Dialog } from "../kit/dialog.tsx";
import "./inspect.css";
import { type PopupState, STATELY_URL, StatelyPopup } from "./stately-popup.ts";

export interface OpenInStatelyProps {
  /** Its id. */
  readonly run: string;
  /** Default: where Stately's inspector is. A `<meta name="stately-inspector">` in the page names another, for tests. */
  readonly url?: string | undefined;
}

export function OpenInStately({ run, url }: OpenInStatelyProps): JSX.Element {
  const [asked, setAsked] = useState(false);
  const [popup] = useState(() => new StatelyPopup({ run, ...configured(url) }));
  useEffect(() => () => popup.end(), [popup]);
  const state = popup.state.value;
  const sending = state.mode === "connected" || state.mode === "waiting";
  const target = new URL(configured(url).url ?? STATELY_URL);
  return (
    <>
      <Button title={`Shows this run in ${target.host}’s inspector`} onClick={() => setAsked(true)}>
        Open in Stately
      </Button>
      {asked && (
        <Dialog
          title="Open in Stately Inspector"
          confirm={sending ? "Stop sending" : state.mode === "idle" ? "Send and open" : "Try again"}
          onConfirm={() => (sending ? popup.end() : popup.open())}
          onClose={() => setAsked(false)}
        >
          <div class="inspect-stately">
            <p>
              This sends the run’s data, redacted, to a page of a third party: <code>{target.host}</code>.
            </p>
            <p role="status" data-mode={state.mode}>
              {textOf(state, target)}
            </p>
          </div>
        </Dialog>
      )}
    </>
  );
}

function textOf(state: PopupState, { host }: URL): string {
  switch (state.mode) {
    case "idle":
      return "Nothing has been sent.";
    case "waiting":
      return `The window is open; waiting for ${host} to say that it listens.`;
    case "connected":
      return `Connected: ${state.sent} messages sent, and what happens from now on.`;
    case "blocked":
      return "The browser has not opened the window: allow pop-ups for this page, and try again.";
    case "silent":
      return `${host} has not answered for 15 seconds: there may be no internet, or its page asks for a login first. Nothing was sent. It is sent as soon as it answers.`;
    case "closed":
      return "The window was closed; nothing more is sent.";
    case "failed":
      return `The run could not be sent: ${state.text}`;
  }
}

function configured(url: string | undefined): { readonly url?: string; readonly answerMs?: number } {
  const meta = document.querySelector<HTMLMetaElement>('meta[name="stately-inspector"]');
  const given = url ?? meta?.content;
  const answerMs = Number(meta?.dataset["answerMs"]);
  return {
    ...(given === undefined ? {} : { url: given }),
    ...(answerMs > 0 ? { answerMs } : {}),
  };
}
