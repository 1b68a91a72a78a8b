/** What must be done when the process exits, whatever the reason: one listener for all of a proxy. */

export class AtExit {
  readonly #runs = new Set<() => void>();
  readonly #run = () => {
    for (const run of this.#runs) run();
  };

  /** @param run synchronous, must not throw @returns a function that takes it back */
  add(run: () => void): () => void {
    if (this.#runs.size === 0) process.on("exit", this.#run);
    this.#runs.add(run);
    return () => {
      if (this.#runs.delete(run) && this.#runs.size === 0) process.off("exit", this.#run);
    };
  }
}
