/** Handlers of a test wait at a gate until the test opens it, so that runs end when the test says so, and not by time. */
export class Gates {
  readonly #open = new Set<string>();
  readonly #waiting = new Map<string, Set<() => void>>();

  open(name: string): void {
    this.#open.add(name);
    for (const go of this.#waiting.get(name) ?? []) go();
    this.#waiting.delete(name);
  }

  /** Rejects when the run is cancelled meanwhile. */
  async pass(name: string, signal: AbortSignal): Promise<void> {
    if (this.#open.has(name)) return;
    signal.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const waiting = this.#waiting.get(name) ?? new Set();
      this.#waiting.set(name, waiting.add(resolve));
      signal.addEventListener(
        "abort",
        () => {
          waiting.delete(resolve);
          reject(signal.reason as Error);
        },
        { once: true },
      );
    });
  }
}
