/** Child processes of the benchmark: started, asked, ended. */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";

/** Without this, tsx would take "sluice" for the sources; what is measured is what is shipped. */
const ENVIRONMENT = { ...process.env, TSX_TSCONFIG_PATH: fileURLToPath(new URL("tsconfig.json", import.meta.url)) };

export interface Usage {
  readonly cpu: { readonly user: number; readonly system: number };
  readonly heapUsed: number;
  readonly external: number;
  readonly rss: number;
}

export class Child {
  readonly process: ChildProcess;
  readonly #waiters: {
    readonly wants: (message: Record<string, unknown>) => boolean;
    readonly resolve: (message: Record<string, unknown>) => void;
  }[] = [];
  readonly #listeners: ((message: Record<string, unknown>) => void)[] = [];
  #ready: Promise<Record<string, unknown>>;

  constructor(script: string, args: readonly string[]) {
    this.process = fork(fileURLToPath(new URL(script, import.meta.url)), [...args], {
      execArgv: ["--import", "tsx", "--expose-gc", ...(process.env["BENCH_NODE"]?.split(" ") ?? [])],
      env: ENVIRONMENT,
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    this.process.on("message", (message: Record<string, unknown>) => {
      for (const listener of this.#listeners) listener(message);
      const index = this.#waiters.findIndex(({ wants }) => wants(message));
      if (index >= 0) this.#waiters.splice(index, 1)[0]?.resolve(message);
    });
    this.#ready = this.next("ready");
  }

  async ready(): Promise<number> {
    return Number((await this.#ready)["ready"]);
  }

  on(listener: (message: Record<string, unknown>) => void): void {
    this.#listeners.push(listener);
  }

  next(field: string): Promise<Record<string, unknown>> {
    return new Promise((resolve) => this.#waiters.push({ wants: (message) => field in message, resolve }));
  }

  /** CPU so far, and the memory in use: with what is garbage already, or (slower) without. */
  async usage(what: "usage" | "memory" = "usage"): Promise<Usage> {
    const answer = this.next("usage");
    this.process.send(what);
    return (await answer)["usage"] as Usage;
  }

  async stop(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const ended = new Promise((resolve) => this.process.once("exit", resolve));
    this.process.send("stop");
    await ended;
  }

  async kill(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const ended = new Promise((resolve) => this.process.once("exit", resolve));
    this.process.kill("SIGKILL");
    await ended;
  }
}
