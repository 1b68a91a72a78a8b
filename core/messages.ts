/** Runs the message hooks of one direction on one message. */
import { ProxyError, isProxyError } from "./errors.ts";
import { isReply, kindOf } from "./body/message.ts";
import type { CompiledMessageHook, Hook } from "./hooks.ts";
import type { Awaitable, Exchange, Message, Reply } from "./types.ts";

/** What the hooks made of a message: nothing for "the same bytes", other messages, or an answer for the other side. */
export type Shown = readonly Message[] | Reply | undefined;

/**
 * @param hooks in call order; those for other kinds or methods are passed over
 * @throws ProxyError a verdict, or `PLUGIN_FAILED`
 */
export function showMessage(
  hooks: readonly CompiledMessageHook[],
  exchange: Exchange,
  message: Message,
  from = 0,
): Awaitable<Shown> {
  let current = message;
  for (let i = from; i < hooks.length; i++) {
    const hook = hooks[i]!;
    if (hook.kind !== kindOf(current) || (hook.methods && !hook.methods.has(current.method!))) continue;
    const result = callHook(hook, "message", exchange, () => hook.handler(exchange, current));
    if (result instanceof Promise) {
      const before = current;
      return result.then((value) => {
        const step = apply(hook, before, value);
        if (!Array.isArray(step)) return step as Reply;
        return rest(hooks, exchange, step, i + 1, step[0] !== before || before !== message);
      });
    }
    const step = apply(hook, current, result);
    if (!Array.isArray(step)) return step as Reply;
    if (step.length !== 1) return rest(hooks, exchange, step, i + 1, true);
    current = step[0]!;
  }
  return current === message ? undefined : [current];
}

/** The hooks that are left, on each message that the last one returned. */
function rest(
  hooks: readonly CompiledMessageHook[],
  exchange: Exchange,
  messages: readonly Message[],
  from: number,
  changed: boolean,
): Awaitable<Shown> {
  const results = messages.map((message) => showMessage(hooks, exchange, message, from));
  const merge = (all: readonly Shown[]): Shown => {
    if (messages.length === 1) return all[0] ?? (changed ? messages : undefined);
    // A reply to one of several messages would leave the others without an answer.
    if (all.some((shown) => shown && isReply(shown)))
      throw new ProxyError("PLUGIN_FAILED", { plugin: "?", hook: "message", detail: "a Reply beside other messages" });
    return all.flatMap((shown, i) => (shown as readonly Message[] | undefined) ?? messages[i]!);
  };
  return results.some((result) => result instanceof Promise)
    ? Promise.all(results).then(merge)
    : merge(results as Shown[]);
}

function apply(
  hook: CompiledMessageHook,
  message: Message,
  result: Awaited<ReturnType<CompiledMessageHook["handler"]>>,
): readonly Message[] | Reply {
  if (result === undefined) return [message];
  if (result === null) {
    if (hook.kind === "notification") return [];
    throw new ProxyError("PLUGIN_FAILED", {
      plugin: hook.plugin.name,
      hook: "message",
      detail: `it dropped a ${hook.kind}: answer with a Reply instead`,
    });
  }
  if (Array.isArray(result)) return result as readonly Message[];
  if (!isReply(result)) return [result as Message];
  if (hook.kind === "request") return result;
  throw new ProxyError("PLUGIN_FAILED", {
    plugin: hook.plugin.name,
    hook: "message",
    detail: `a Reply to a ${hook.kind}`,
  });
}

/**
 * Calls a hook. What it throws becomes `PLUGIN_FAILED` with the plugin's name, or is logged where the plugin says `skip`.
 * A `ProxyError` is a verdict and passes as it is.
 */
export function callHook<T>(
  hook: Pick<Hook<unknown>, "plugin">,
  name: string,
  exchange: Exchange,
  run: () => Awaitable<T>,
): Awaitable<T | undefined> {
  const failed = (cause: unknown): undefined => {
    if (isProxyError(cause)) throw cause;
    const error = new ProxyError("PLUGIN_FAILED", {
      server: exchange.mount.server,
      plugin: hook.plugin.name,
      hook: name,
      cause,
    });
    if (hook.plugin.onFailure !== "skip") throw error;
    exchange.log.warn(() => `${error.toLog()}; skipped`);
    return undefined;
  };
  try {
    const result = run();
    return result instanceof Promise ? result.catch(failed) : result;
  } catch (cause) {
    return failed(cause);
  }
}
