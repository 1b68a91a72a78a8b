/** A barrier between a test and a peer: one side awaits `promise`, the other calls `open()`. */
export interface Gate {
  readonly promise: Promise<void>;
  readonly isOpen: boolean;
  /** Lets everybody through, now and later. Opening twice is harmless. */
  open(): void;
}

/** Makes a closed gate. Tests use it where a sleep would only make the right order likely. */
export function gate(): Gate {
  let release!: () => void;
  let isOpen = false;
  const promise = new Promise<void>((resolve) => {
    release = resolve;
  });
  return {
    promise,
    get isOpen() {
      return isOpen;
    },
    open() {
      isOpen = true;
      release();
    },
  };
}
