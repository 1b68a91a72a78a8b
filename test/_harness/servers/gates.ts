import { type Gate, gate } from "../peers/gate.ts";
import { type WaitOptions, within } from "../wait.ts";

/** The barriers of the `slow` tool, by the name that its caller chose. */
export interface NamedGates {
  /** Lets the call with this name finish, whether it is running or still to come. */
  open(name: string): void;
  /** Waits until the call with this name is running and has sent its progress notification. */
  entered(name: string, options?: WaitOptions): Promise<void>;
  /** Waits until the call with this name was cancelled, which is how the SDK reports it to a tool. */
  cancelled(name: string, options?: WaitOptions): Promise<void>;
}

/** Makes the barriers for one server; `hold` is the tool's side of them. */
export function namedGates(): NamedGates & { hold(name: string, signal: AbortSignal): Promise<void>; release(): void } {
  interface Call {
    entered: Gate;
    opened: Gate;
    cancelled: Gate;
  }
  const calls = new Map<string, Call>();
  const of = (name: string): Call => {
    let call = calls.get(name);
    if (!call) calls.set(name, (call = { entered: gate(), opened: gate(), cancelled: gate() }));
    return call;
  };
  return {
    open: (name) => of(name).opened.open(),
    entered: (name, options) => within(of(name).entered.promise, `the slow call "${name}" to start`, options),
    cancelled: (name, options) =>
      within(of(name).cancelled.promise, `the slow call "${name}" to be cancelled`, options),
    async hold(name, signal) {
      const call = of(name);
      signal.addEventListener("abort", () => call.cancelled.open(), { once: true });
      if (signal.aborted) call.cancelled.open();
      call.entered.open();
      await Promise.race([call.opened.promise, call.cancelled.promise]);
    },
    release() {
      for (const call of calls.values()) call.opened.open();
    },
  };
}
