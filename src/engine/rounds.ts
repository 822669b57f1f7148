/**
 * When partitions do their rounds: together, once per turn of the event loop, after all that the sockets had was read. An
 * idle engine loses nothing by it; a busy one writes fewer and larger journal messages, in fewer system calls.
 */
export class Rounds {
  #due: (() => void)[] = [];

  /** For `PartitionOptions.schedule`. */
  readonly schedule = (round: () => void): void => {
    if (this.#due.push(round) === 1) setImmediate(this.#run);
  };

  readonly #run = (): void => {
    const due = this.#due;
    this.#due = [];
    for (const round of due) round();
  };
}
