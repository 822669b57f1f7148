/** What to type so that a program is seen here: with the address that this page really has. */
import type { JSX } from "preact";
import { CopyButton } from "../kit/copy-button.tsx";

const INSTALL = "npm install @statelyai/inspect";

/** The five lines of code. */
export function codeFor(url: string): string {
  return [
    'import { createWebSocketInspector } from "@statelyai/inspect";',
    'import { createActor } from "xstate";',
    `const inspector = createWebSocketInspector({ url: "${url}" });`,
    "const actor = createActor(machine, { inspect: inspector.inspect });",
    "actor.start();",
  ].join("\n");
}

/** Where this page's server takes programs. */
export function inspectUrl(page: Pick<Location, "protocol" | "host"> = location): string {
  return `${page.protocol === "https:" ? "wss:" : "ws:"}//${page.host}/inspect`;
}

export function NoPrograms(): JSX.Element {
  return (
    <div class="inspect-empty">
      <h1>Watch any XState program</h1>
      <p>
        A program that uses XState 5 is shown here while it runs: its actors, their charts with what is active, every event, every
        state, and the way back in time. Nothing leaves this machine.
      </p>
      <HowTo />
    </div>
  );
}

export function HowTo(): JSX.Element {
  const code = codeFor(inspectUrl());
  return (
    <ol class="inspect-steps">
      <li>
        <p>In your program, add Stately’s own client:</p>
        <div class="kit-command">
          <code>{INSTALL}</code>
          <CopyButton text={INSTALL} />
        </div>
      </li>
      <li>
        <p>Hand its inspector to your actor:</p>
        <div class="kit-command inspect-code">
          <pre tabIndex={0} aria-label="Code">
            <code>{code}</code>
          </pre>
          <CopyButton text={code} />
        </div>
      </li>
      <li>
        <p>
          Start it. It appears here by itself. Several programs may be connected at once;{" "}
          <code>{inspectUrl()}?name=checkout</code> gives one a name of its own.
        </p>
      </li>
    </ol>
  );
}
