/**
 * A run on its way to Stately's inspector page, in a window of its own: opened by a click, spoken to only once it says that it is
 * there, and only under its own address. Knows nothing of what is shown meanwhile.
 */
import { signal } from "@preact/signals";
import type { MachineDefinition } from "../../protocol/record.ts";
import { StatelyRun } from "../../protocol/stately.ts";
import { call, describeError } from "../api.ts";
import { watch } from "../live.ts";

export type PopupState =
  | { readonly mode: "idle" }
  /** The window is open; it has not said yet that it listens. */
  | { readonly mode: "waiting" }
  | { readonly mode: "connected"; readonly sent: number }
  | { readonly mode: "blocked" }
  /** It never answered. */
  | { readonly mode: "silent" }
  | { readonly mode: "closed" }
  | { readonly mode: "failed"; readonly text: string };

export interface PopupOptions {
  readonly run: string;
  /** Where the inspector is. Default Stately's; tests have their own. */
  readonly url?: string | undefined;
  /** After so long without an answer it says so. Default 15 s. */
  readonly answerMs?: number | undefined;
}

export const STATELY_URL = "https://stately.ai/inspect";
const ANSWER_MS = 15_000;
const CLOSED_CHECK_MS = 1_000;
/** The page is told of nothing while its tab is hidden, as it may well be behind the other window: then it asks. */
const HIDDEN_ASK_MS = 1_500;

export class StatelyPopup {
  readonly state = signal<PopupState>({ mode: "idle" });
  readonly #options: PopupOptions;
  readonly #url: URL;
  #window: Window | null = null;
  #stop: () => void = () => undefined;

  constructor(options: PopupOptions) {
    this.#options = options;
    this.#url = new URL(options.url ?? STATELY_URL);
  }

  /** Must be called by a click: browsers open windows for nothing else. */
  open(): void {
    this.end();
    this.#window = window.open(this.#url.href, "sluice-stately-inspector", "popup,width=1280,height=860");
    if (this.#window === null) {
      this.state.value = { mode: "blocked" };
      return;
    }
    this.state.value = { mode: "waiting" };
    const popup = this.#window;
    const onMessage = (event: MessageEvent<unknown>): void => {
      // Any page may send messages; only the one that was opened, still at its address, is listened to.
      if (event.origin !== this.#url.origin || event.source !== popup) return;
      const { type } = (event.data ?? {}) as { readonly type?: unknown };
      // Loaded anew, it knows nothing, and asks again.
      if (type === "@statelyai.connected") this.#connect(popup);
    };
    const silent = setTimeout(() => {
      if (this.state.peek().mode === "waiting") this.state.value = { mode: "silent" };
    }, this.#options.answerMs ?? ANSWER_MS);
    const closed = setInterval(() => {
      if (!popup.closed) return;
      this.end();
      this.state.value = { mode: "closed" };
    }, CLOSED_CHECK_MS);
    window.addEventListener("message", onMessage);
    this.#stop = () => {
      window.removeEventListener("message", onMessage);
      clearTimeout(silent);
      clearInterval(closed);
      this.#unfollow();
    };
  }

  /** Says goodbye; the window stays, with what it was shown. */
  end(): void {
    this.#stop();
    this.#stop = () => undefined;
    if (this.state.peek().mode === "connected") this.#post(this.#window, { type: "@statelyai.disconnected" });
    this.state.value = { mode: "idle" };
  }

  #unfollow: () => void = () => undefined;

  #connect(popup: Window): void {
    this.#unfollow();
    const { run } = this.#options;
    const told = new StatelyRun(run);
    let machine: MachineDefinition | undefined;
    let sent = 0;
    let over = false;
    let asking = false;
    let again = false;
    const send = async (): Promise<void> => {
      if (asking) {
        again = true;
        return;
      }
      asking = true;
      try {
        do {
          again = false;
          const record = await call("run.record", told.told === undefined ? { id: run } : { id: run, after: told.told });
          if (machine?.hash !== record.machine) machine = await call("machine.get", { hash: record.machine });
          if (over) return;
          for (const message of told.messages(record, machine)) {
            this.#post(popup, message);
            sent += 1;
          }
          this.state.value = { mode: "connected", sent };
        } while (again);
      } catch (error) {
        if (!over) this.state.value = { mode: "failed", text: describeError(error) };
      } finally {
        asking = false;
      }
    };
    const unwatch = watch(`run:${run}`, (...[event]) => {
      if (event === "run" || event === "hello" || event === "reset") void send();
    });
    const asks = setInterval(() => {
      if (document.hidden) void send();
    }, HIDDEN_ASK_MS);
    this.#unfollow = () => {
      over = true;
      clearInterval(asks);
      unwatch();
    };
    void send();
  }

  /** Never to `*`: the window may have gone to another page. */
  #post(popup: Window | null, message: unknown): void {
    popup?.postMessage(message, this.#url.origin);
  }
}
