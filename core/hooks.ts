/** Plugins in, one frozen table per mount out. Nothing about hooks is decided while requests run. */
import { ProxyError } from "./errors.ts";
import { FIELD_NAME } from "./headers.ts";
import type { Direction, Era, Kind, MessageHook, Plugin, PluginOption } from "./types.ts";

/** One hook of one plugin. */
export interface Hook<Handler> {
  plugin: Plugin;
  handler: Handler;
}

/** A message hook, its method filter as a set. */
export interface CompiledMessageHook extends Hook<MessageHook["handler"]> {
  kind: Kind;
  methods: ReadonlySet<string> | undefined;
  text: string | undefined;
}

/** The message hooks that can matter to one exchange. */
export interface MessageRow {
  up: readonly CompiledMessageHook[];
  down: readonly CompiledMessageHook[];
  /** Which kinds of messages the `down` hooks ask for. */
  wants: Readonly<Record<Kind, boolean>>;
  /** Texts that a response has which one of them is for; `undefined` where one of them is for all. */
  texts: readonly string[] | undefined;
}

type Handler<Name extends keyof Plugin> = NonNullable<Plugin[Name]>;

/** Everything that an exchange of one mount may call, in call order. */
export interface HookTable {
  plugins: readonly Plugin[];
  authenticate: readonly Hook<Handler<"authenticate">>[];
  request: readonly Hook<Handler<"request">>[];
  forward: readonly Hook<Handler<"forward">>[];
  response: readonly Hook<Handler<"response">>[];
  body: readonly Hook<Handler<"body">>[];
  error: readonly Hook<Handler<"error">>[];
  done: readonly Hook<Handler<"done">>[];
  hasMessageHooks: boolean;
  /** @param method of the posted message; `undefined` where there is none, or where it is unknown what is answered */
  messages(era: Era, method: string | undefined): MessageRow;
}

const ERAS: readonly Era[] = ["legacy", "modern"];

/** The hooks that run on the way in; the others run on the way out, last plugin first. */
export const HOOK_NAMES = [
  "guard",
  "authenticate",
  "request",
  "message",
  "forward",
  "response",
  "body",
  "error",
  "done",
] as const;

/** Flattens nested lists, drops falsy entries, and puts `pre` first and `post` last; otherwise the order stays. */
export function orderPlugins(...options: (PluginOption | undefined)[]): Plugin[] {
  const flat = (options as readonly unknown[]).flat(Number.POSITIVE_INFINITY).filter(Boolean) as Plugin[];
  for (const plugin of flat) checkPlugin(plugin);
  const tier = (order: Plugin["order"]) => flat.filter((plugin) => plugin.order === order);
  return [...tier("pre"), ...tier(undefined), ...tier("post")];
}

/** @param plugins in order */
export function compileHooks(plugins: readonly Plugin[]): HookTable {
  const inbound = <Name extends "authenticate" | "request" | "forward" | "response" | "body" | "error" | "done">(
    name: Name,
  ) =>
    plugins.flatMap((plugin) =>
      plugin[name] ? [{ plugin, handler: (plugin[name] as Function).bind(plugin) as Handler<Name> }] : [],
    );
  const outbound: typeof inbound = (name) => inbound(name).reverse();
  const messageHooks = plugins.flatMap((plugin) => [plugin.message ?? []].flat().map((hook) => ({ plugin, hook })));
  return Object.freeze({
    plugins,
    authenticate: inbound("authenticate"),
    request: inbound("request"),
    forward: inbound("forward"),
    response: outbound("response"),
    body: outbound("body"),
    error: outbound("error"),
    done: inbound("done"),
    hasMessageHooks: messageHooks.length > 0,
    messages: compileMessages(messageHooks),
  });
}

function compileMessages(hooks: readonly { plugin: Plugin; hook: MessageHook }[]): HookTable["messages"] {
  // Only methods that a filter names have rows of their own, so a client cannot make the table grow.
  const named = new Set(hooks.flatMap(({ hook }) => methodsOf(hook) ?? []));
  const rows = ERAS.map((era) => {
    const inEra = hooks.filter(({ hook }) => hook.filter.era === undefined || hook.filter.era === era);
    const byMethod = new Map([...named].map((method) => [method, compileRow(inEra, method)]));
    return [era, { byMethod, other: compileRow(inEra, "\0"), unknown: compileRow(inEra, undefined) }] as const;
  });
  const table = Object.fromEntries(rows) as Record<Era, (typeof rows)[number][1]>;
  return (era, method) => {
    const { byMethod, other, unknown } = table[era];
    return method === undefined ? unknown : (byMethod.get(method) ?? other);
  };
}

function compileRow(hooks: readonly { plugin: Plugin; hook: MessageHook }[], method: string | undefined): MessageRow {
  const side = (direction: Direction) =>
    hooks
      .filter(({ hook }) => hook.filter.direction === direction)
      // The method of a response is the one posted, which is known here; of a request or notification, the message tells.
      .filter(
        ({ hook }) =>
          hook.filter.kind !== "response" ||
          method === undefined ||
          !hook.filter.method ||
          methodsOf(hook)!.includes(method),
      )
      .map(({ plugin, hook }) => ({
        plugin,
        handler: hook.handler.bind(hook),
        kind: hook.filter.kind,
        text: hook.filter.text,
        methods: hook.filter.kind === "response" || !hook.filter.method ? undefined : new Set(methodsOf(hook)),
      }));
  const down = side("down").reverse();
  const wants = { request: false, notification: false, response: false };
  for (const hook of down) wants[hook.kind] = true;
  return { up: side("up"), down, wants, texts: textsOf(down) };
}

function textsOf(hooks: readonly CompiledMessageHook[]): readonly string[] | undefined {
  const texts = hooks.filter(({ kind }) => kind === "response").map(({ text }) => text);
  return texts.length > 0 && texts.every((text) => text !== undefined) ? texts : undefined;
}

function methodsOf(hook: MessageHook): readonly string[] | undefined {
  const { method } = hook.filter;
  return method === undefined ? undefined : typeof method === "string" ? [method] : method;
}

function isFieldName(name: unknown): boolean {
  return typeof name === "string" && FIELD_NAME.test(name);
}

function checkPlugin(plugin: Plugin): void {
  const refuse = (detail: string): never => {
    throw new ProxyError("BAD_OPTION", { plugin: `plugin '${String(plugin?.name ?? plugin)}'`, hint: detail });
  };
  if (typeof plugin !== "object") refuse("A plugin is an object with a name and hooks; was a factory not called?");
  if (typeof plugin.name !== "string" || plugin.name === "") refuse("It has no name.");
  if (plugin.credentials !== undefined && !(Array.isArray(plugin.credentials) && plugin.credentials.every(isFieldName)))
    refuse("`credentials` must be a list of header names.");
  if (plugin.order !== undefined && plugin.order !== "pre" && plugin.order !== "post")
    refuse('`order` may be "pre" or "post".');
  for (const [key, value] of Object.entries(plugin)) {
    const isHook = key !== "message" && [...HOOK_NAMES, "applies", "config", "setup", "close"].includes(key as never);
    if (isHook && value !== undefined && typeof value !== "function") refuse(`\`${key}\` must be a function.`);
    // Data is a plugin's own affair; a function under an unknown name is a hook misspelt.
    if (!isHook && key !== "message" && typeof value === "function") refuse(`\`${key}\` is not a hook.`);
  }
  for (const hook of [plugin.message ?? []].flat()) {
    if (typeof hook.handler !== "function") refuse("A message hook needs `handler`.");
    if (!["up", "down"].includes(hook.filter?.direction))
      refuse('A message hook needs `filter.direction`: "up" or "down".');
    const { text } = hook.filter;
    if (text !== undefined && (hook.filter.kind !== "response" || !/^[\x20-\x7e]+$/.test(text)))
      refuse("`filter.text` is for responses, and plain ASCII.");
    if (!["request", "notification", "response"].includes(hook.filter.kind))
      refuse('A message hook needs `filter.kind`: "request", "notification" or "response".');
  }
}
