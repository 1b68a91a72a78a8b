/**
 * Plugins that tests use and that keep nothing of the test process: each is made from plain options, so that a proxy in a child
 * process can have it too. Tests import them from `plugins.ts`.
 */
import {
  type ByteTransform,
  type Frame,
  type Message,
  type MessageHook,
  type Outcome,
  type Plugin,
  ProxyError,
  type Route,
  createSealer,
  defineState,
  discard,
  json,
  memoryStore,
  sse,
} from "mcp-penstock";
import { storeContract } from "mcp-penstock/testing";

/** `error`: an exception with a text that nobody may see. `verdict`: a ProxyError, which is an answer. */
type Failure = "error" | "verdict";

function fail(failure: Failure): never {
  throw failure === "error"
    ? new Error("secret detail")
    : new ProxyError("RATE_LIMITED", { headers: { "retry-after": "9" } });
}

/** Makes the core frame event streams; it is called for nothing that these tests send. */
export function framing(): Plugin {
  return { name: "framing", message: { filter: { direction: "down", kind: "request" }, handler() {} } };
}

/** One hook that throws at every call. */
export function failing(
  hook: "guard" | "request" | "forward" | "response" | "body",
  failure: Failure = "error",
  onFailure: Plugin["onFailure"] = "deny",
): Plugin {
  return { name: "bad", onFailure, [hook]: () => fail(failure) };
}

/** A response hook that throws at answers with status 200 only. */
export function failingAnswers(): Plugin {
  return { name: "broken", response: (_exchange, { status }) => (status === 200 ? fail("error") : undefined) };
}

/** A hook that answers at one path in place of the server. @param body JSON text for a `request` hook */
export function answering(
  hook: "guard" | "request",
  body: string,
  {
    status = 200,
    path = "/mcp",
    asResponse = false,
  }: {
    status?: number;
    path?: string;
    /** A Response that comes later, in place of an Answer. */ asResponse?: boolean;
  } = {},
): Plugin {
  const name = `answering-${body}`;
  const answer = () => new Response(body, { status });
  if (hook === "guard") return { name, guard: ({ url }) => (url.pathname === path ? answer() : undefined) };
  return { name, request: asResponse ? async () => answer() : () => json(JSON.parse(body), status) };
}

/** Tells each answer's status in the header `x-seen`. */
export function markAnswers(): Plugin {
  return { name: "mark", response: (_exchange, { headers, status }) => headers.set("x-seen", String(status)) };
}

/** Sets two cookies with each answer. */
export function cookies(): Plugin {
  return {
    name: "cookies",
    response(_exchange, { headers }) {
      for (const cookie of ["a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT", "b=2"]) headers.append("set-cookie", cookie);
    },
  };
}

/** What a message hook does: nothing, take the message away, or one of these. */
type Action =
  | "pass"
  | "drop"
  | { reply: { result: Record<string, unknown> } }
  /** Members that take the place of the message's own. */
  | { change: Partial<Message> }
  /** The message, and behind it a copy with another method. */
  | { copyAs: string }
  | { fail: Failure };

/** A message hook without a memory. */
export function onMessage(
  direction: "up" | "down",
  kind: MessageHook["filter"]["kind"],
  action: Action,
  { method, onFailure }: { method?: string; onFailure?: Plugin["onFailure"] } = {},
): Plugin {
  const handler: MessageHook["handler"] = async (_exchange, message) => {
    if (action === "pass") return undefined;
    if (action === "drop") return null;
    if ("fail" in action) return fail(action.fail);
    if ("reply" in action) return action;
    if ("change" in action) return { ...message, ...action.change };
    return [message, { ...message, method: action.copyAs }];
  };
  return { name: `${direction}-${kind}`, onFailure, message: { filter: { direction, kind, method }, handler } };
}

/** Tools whose names begin with `from` are `to` at the server. */
export function renaming(from: string, to: string): Plugin {
  return {
    name: "renaming",
    message: {
      filter: { direction: "up", kind: "request", method: "tools/call" },
      handler: (_exchange, message) =>
        String(message.params?.name).startsWith(from)
          ? { ...message, params: { ...message.params, name: to } }
          : undefined,
    },
  };
}

/** Asks the server a second time when it says 503. */
export function twice(): Plugin {
  return {
    name: "twice",
    async forward(_exchange, request, next) {
      const first = await next(request);
      if (first.status !== 503) return first;
      discard(first);
      return next({ ...request });
    },
  };
}

/** Answers DELETE itself, adds `x-added` to what goes on, and turns a failure of the server into an answer. */
export function calm(): Plugin {
  return {
    name: "calm",
    async forward(exchange, request, next) {
      if (exchange.request.method === "DELETE") return json({ local: true });
      request.headers.set("x-added", "1");
      return next(request).catch((error: ProxyError) => json({ was: error.code }));
    },
  };
}

/** Fails after it has called the server; its hook is to be skipped. */
export function failingLate(): Plugin {
  return {
    name: "late",
    onFailure: "skip",
    async forward(_exchange, request, next) {
      await next(request);
      return fail("error");
    },
  };
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Puts `name(…)` around every piece of an answer, and tags around the whole. */
export function wrapping(name: string): Plugin {
  return {
    name,
    body: (): ByteTransform => ({
      open: (sink) => sink.emit(encoder.encode(`<${name}>`)),
      write: (bytes, sink) => sink.emit(encoder.encode(`${name}(${decoder.decode(bytes)})`)),
      end(sink) {
        sink.emit(encoder.encode(`</${name}>`));
        sink.end();
      },
    }),
  };
}

/** Ends or cuts an answer behind its first piece. */
export function stopping(how: "end" | "cut"): Plugin {
  return {
    name: "stop",
    body: () => ({
      write(bytes, sink) {
        sink.emit(bytes);
        if (how === "end") sink.end();
        else sink.cut(new ProxyError("STALLED_CLIENT"));
      },
    }),
  };
}

/** Keeps a count of its mount and the id of each exchange, and tells both in the header `x-slots`. */
export function counting(): Plugin {
  const [calls, mine] = [defineState<number>("t.calls"), defineState<string>("t.mine")];
  return {
    name: "t",
    request(exchange) {
      exchange.mount.set(calls, (exchange.mount.get(calls) ?? 0) + 1);
      exchange.set(mine, `${exchange.get(mine) ?? ""}${exchange.id}`);
    },
    response: (exchange, answer) =>
      answer.headers.set("x-slots", `${exchange.mount.get(calls)} ${exchange.get(mine) === exchange.id}`),
  };
}

/** A route of `routes()`. */
interface TestRoute extends Pick<Route, "path"> {
  method?: Route["method"];
  access?: Route["access"];
  /** Tell who asked and whether details may be shown, tell all of the caller, tell the public URL, send back the body, or throw. @default "tell" */
  does?: "tell" | "tell-caller" | "tell-url" | "echo" | "fail";
}

/** A plugin with these routes, public GET ones where nothing else is said. */
export function routes(...list: TestRoute[]): Plugin {
  const handlers: Record<string, Route["handler"]> = {
    tell: ({ principal, trusted }) => Response.json({ who: principal?.id ?? null, trusted }),
    "tell-caller": ({ principal }) => Response.json(principal ?? null),
    "tell-url": ({ publicUrl }) => new Response(publicUrl),
    echo: async (request) => new Response(await request.text()),
    fail: () => fail("error"),
  };
  return {
    name: "routes",
    setup(app) {
      for (const { does = "tell", ...route } of list)
        app.route({ method: "GET", access: "public", handler: handlers[does]!, ...route });
    },
  };
}

/** Knows callers by the header `x-name`. */
export function byName(): Plugin {
  return {
    name: "by-name",
    credentials: ["x-name"],
    authenticate(request) {
      const id = request.headers.get("x-name");
      return id ? { id, scopes: [] } : undefined;
    },
  };
}

/** Knows its callers by tokens, `Bearer of.<name>.<anything>[.<exp>]`, as a plugin does that checks them: there are claims. */
export function byToken(): Plugin {
  return {
    name: "by-token",
    authenticate({ headers }) {
      const [, sub, exp] = /^Bearer of\.(\w+)\.[\w-]+(?:\.(\d+))?$/.exec(headers.get("authorization") ?? "") ?? [];
      if (sub === undefined) return undefined;
      return { id: sub, scopes: ["tools"], claims: { sub, ...(exp && { exp: Number(exp) }) } };
    },
  };
}

/** Asks who is calling, and lets nobody in. */
export function closed(): Plugin {
  return { name: "closed", authenticate() {} };
}

/** A guard that answers everything with 418: what has another status never reached it. */
export function teapot(): Plugin {
  return { name: "teapot", guard: () => new Response(null, { status: 418 }) };
}

/** A guard that keeps everybody away from what lies below a path, with 403. */
export function fence(prefix: string): Plugin {
  return {
    name: "fence",
    guard: ({ url }) => (url.pathname.startsWith(prefix) ? new Response(null, { status: 403 }) : undefined),
  };
}

/** A guard that adds fields to every answer, and stops what asks for `/stop`. */
export function marking(): Plugin {
  return {
    name: "marks",
    guard(request, added) {
      added.set("x-mark", "1");
      added.append("vary", "Origin");
      return request.url.pathname === "/stop"
        ? new Response("stopped", { status: 403, headers: { vary: "Accept" } })
        : undefined;
    },
  };
}

/** Tells at `/outcomes` how exchanges ended, with the path of each: their `done` was called. */
export function outcomes(): Plugin {
  const ended: Pick<Outcome, "end" | "status">[] = [];
  return {
    name: "outcomes",
    setup(app) {
      app.route({ method: "GET", path: "/outcomes", access: "public", handler: () => json(ended) });
    },
    done: (_exchange, { end, status }) => void ended.push({ end, status }),
  };
}

/** Keeps every request waiting, as a queue does, until its client leaves; says so at `/waiting`. */
export function waitingRoom(): Plugin {
  let waiting = 0;
  return {
    name: "waiting-room",
    setup(app) {
      app.route({ method: "GET", path: "/waiting", access: "public", handler: () => json(waiting) });
    },
    async request({ signal }) {
      waiting++;
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      throw new ProxyError("CLIENT_GONE");
    },
  };
}

/** Answers GET with these frames, as an event stream of its own. */
export function streaming(...frames: Frame[]): Plugin {
  async function* all() {
    yield* frames;
  }
  return { name: "streaming", request: ({ request }) => (request.method === "GET" ? sse(all()) : undefined) };
}

/**
 * Measures how long the event loop was kept busy between two runs of a timer of 5 ms; tells p99 and the longest, in milliseconds,
 * at `/loop`, and begins anew. Only time that this process worked counts: on a busy machine others delay a timer too.
 */
export function loopDelay(): Plugin {
  let delays: number[] = [];
  let timer: ReturnType<typeof setInterval>;
  return {
    name: "loop-delay",
    setup(app) {
      let last = performance.now();
      let worked = cpuTime();
      timer = setInterval(() => {
        const [now, work] = [performance.now(), cpuTime()];
        delays.push(Math.max(0, Math.min(now - last - 5, work - worked)));
        [last, worked] = [now, work];
      }, 5);
      app.route({
        method: "GET",
        path: "/loop",
        access: "public",
        handler() {
          const sorted = delays.sort((a, b) => a - b);
          delays = [];
          return json({ p99: sorted[Math.floor(sorted.length * 0.99)] ?? 0, max: sorted.at(-1) ?? 0 });
        },
      });
    },
    close: () => clearInterval(timer),
  };
}

/** In milliseconds. */
function cpuTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** A guard that tells the path and query that the router gets, in the header `x-target` of every answer. */
export function tellTarget(): Plugin {
  return { name: "tell-target", guard: ({ url }, added) => added.set("x-target", url.pathname + url.search) };
}

/** Tries to bring a guard when the lists of plugins are already read. */
export function late(when: "list replaced in config" | "list changed in config" | "hook added in setup"): Plugin {
  const plugin: Plugin = { name: "late" };
  if (when === "hook added in setup") plugin.setup = () => void (plugin.guard = teapot().guard!);
  else
    plugin.config = (config) => {
      const list = config.plugins as Plugin[];
      if (when === "list replaced in config") return { ...config, plugins: [...list, teapot()] };
      list.push(teapot());
      return config;
    };
  return plugin;
}

/**
 * The store and the sealer on the runtime of the proxy: `GET /contracts/store` runs the checks and tells which do not hold,
 * `POST /contracts/open` opens what was posted, as it is and otherwise, and seals it again.
 *
 * @param secret of the sealer
 */
export function contracts(secret = "the-secret-of-all-tests-used-by-nobody-else"): Plugin {
  const sealer = createSealer([secret]);
  const binding = ["anna", "docs"];
  return {
    name: "contracts",
    setup(app) {
      app.route({
        method: "GET",
        path: "/contracts/store",
        access: "public",
        async handler() {
          const { now } = Date;
          let passed = 0;
          Date.now = () => now() + passed;
          const failed: string[] = [];
          try {
            for (const { name, run } of storeContract("memory", () => memoryStore(), {
              advance: (ms) => void (passed += ms),
            }))
              await run().catch((cause: unknown) => failed.push(`${name}: ${String(cause)}`));
          } finally {
            Date.now = now;
          }
          return Response.json(failed);
        },
      });
      app.route({
        method: "POST",
        path: "/contracts/open",
        access: "public",
        async handler(request) {
          const token = await request.text();
          const opened = sealer.open("session", token, binding);
          return Response.json({
            opened,
            foreign: sealer.open("session", token, ["bert", "docs"]),
            damaged: sealer.open("session", `${token.slice(0, -2)}__`, binding),
            again: sealer.seal("session", opened ?? "", binding),
          });
        },
      });
    },
  };
}
