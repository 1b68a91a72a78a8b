import {
  Client as ClientV2,
  type ClientOptions,
  StreamableHTTPClientTransport as TransportV2,
} from "@modelcontextprotocol/client";
import { Client as ClientV1 } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StreamableHTTPClientTransport as TransportV1 } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import {
  type ClientCapabilities,
  type CreateMessageRequest,
  CreateMessageRequestSchema,
  type CreateMessageResult,
  type ElicitRequest,
  ElicitRequestSchema,
  type ElicitResult,
  ListRootsRequestSchema,
  type ListRootsResult,
} from "@modelcontextprotocol/sdk/types.js";
import { journal } from "./journal.ts";
import { type Closeable, closeable } from "./loopback.ts";
import type { WaitOptions } from "./wait.ts";

/** A JSON-RPC notification as a client received it. */
export interface ReceivedNotification {
  method: string;
  params?: Record<string, unknown>;
}

/** What a test does with a connected client besides calling it. */
interface Observed extends Closeable {
  /** What the SDK reported out of band: streams that dropped, messages that it could not place. */
  readonly errors: Error[];
  /** Every notification that the SDK did not consume itself; progress goes to the call's `onprogress` instead. */
  readonly notifications: ReceivedNotification[];
  /** The first notification with this method, past or future. */
  notification(method: string, options?: WaitOptions): Promise<ReceivedNotification>;
}

/** A connected client of the v1 SDK, over whichever transport. */
export interface ConnectedOver extends Observed {
  readonly client: ClientV1;
}

/** A connected client of the v1 SDK. */
export interface ConnectedV1 extends ConnectedOver {
  readonly transport: TransportV1;
}

/** A connected client of the v2 SDK. */
export interface ConnectedV2 extends Observed {
  readonly client: ClientV2;
  readonly transport: TransportV2;
}

/** Answers to requests of the server. One that is declared in `capabilities` but not here is answered with -32601. */
export interface V1Handlers {
  "sampling/createMessage"?: (
    params: CreateMessageRequest["params"],
  ) => CreateMessageResult | Promise<CreateMessageResult>;
  "elicitation/create"?: (params: ElicitRequest["params"]) => ElicitResult | Promise<ElicitResult>;
  "roots/list"?: () => ListRootsResult | Promise<ListRootsResult>;
}

/** What a v1 client declares and sends. */
export interface V1Options {
  capabilities?: ClientCapabilities;
  /** The SDK refuses a handler whose capability is not declared. */
  handlers?: V1Handlers;
  /** Added to every HTTP request. */
  headers?: Record<string, string>;
  /** What is waited before a stream is resumed, in milliseconds. @default 1000, as the SDK has it */
  reconnect?: number;
}

/** Connects a client of the v1 SDK, which speaks only the `initialize` revisions. */
export async function connectV1(url: string, options: V1Options = {}): Promise<ConnectedV1> {
  const { headers = {}, reconnect = 1000 } = options;
  const transport = new TransportV1(new URL(url), {
    requestInit: { headers },
    reconnectionOptions: reconnection(reconnect),
  });
  return { ...(await connectOver(transport, options)), transport };
}

/** The same over HTTP+SSE. */
export async function connectSse(url: string, options: V1Options = {}): Promise<ConnectedOver> {
  const { headers = {} } = options;
  const withHeaders: typeof fetch = (input, init) =>
    fetch(input, { ...init, headers: { ...Object.fromEntries(new Headers(init?.headers)), ...headers } });
  return connectOver(
    new SSEClientTransport(new URL(url), {
      requestInit: { headers },
      eventSourceInit: { fetch: withHeaders as never },
    }),
    options,
  );
}

/** The same over any transport. */
export async function connectOver(
  transport: Parameters<ClientV1["connect"]>[0],
  { capabilities = {}, handlers = {} }: V1Options = {},
): Promise<ConnectedOver> {
  const client = new ClientV1({ name: "v1-client", version: "1.0.0" }, { capabilities });
  const { "sampling/createMessage": sample, "elicitation/create": elicit, "roots/list": roots } = handlers;
  if (sample) client.setRequestHandler(CreateMessageRequestSchema, ({ params }) => sample(params));
  if (elicit) client.setRequestHandler(ElicitRequestSchema, ({ params }) => elicit(params));
  if (roots) client.setRequestHandler(ListRootsRequestSchema, () => roots());
  const observed = observe(client);
  await connected(client, client.connect(transport));
  return { ...observed, client };
}

/** How a v2 client negotiates, what it declares and sends. */
export interface V2Options {
  /** `legacy`: `initialize` only, the SDK's default. `modern`: 2026-07-28 or nothing. `auto`: probe, then fall back. */
  mode?: "legacy" | "auto" | "modern";
  capabilities?: ClientOptions["capabilities"];
  /** What is done when a list changes. */
  listChanged?: ClientOptions["listChanged"];
  /** Added to every HTTP request. */
  headers?: Record<string, string>;
  /** What is waited before a stream is resumed, in milliseconds. @default 1000, as the SDK has it */
  reconnect?: number;
  /** Called before connecting, to register request handlers. */
  prepare?: (client: ClientV2) => void;
}

/** Connects a client of the v2 SDK. */
export async function connectV2(url: string, options: V2Options = {}): Promise<ConnectedV2> {
  const { headers = {}, reconnect = 1000 } = options;
  const transport = new TransportV2(new URL(url), {
    requestInit: { headers },
    reconnectionOptions: reconnection(reconnect),
  });
  return { ...(await connectV2Over(transport, options)), transport };
}

/** The same over any transport. */
export async function connectV2Over(
  transport: Parameters<ClientV2["connect"]>[0],
  { mode = "auto", capabilities = {}, listChanged, prepare }: V2Options = {},
): Promise<Omit<ConnectedV2, "transport">> {
  const client = new ClientV2(
    { name: "v2-client", version: "1.0.0" },
    { capabilities, listChanged, versionNegotiation: { mode: mode === "modern" ? { pin: "2026-07-28" } : mode } },
  );
  prepare?.(client);
  const observed = observe(client);
  await connected(client, client.connect(transport));
  return { ...observed, client };
}

/** The SDKs' own but for the first wait. */
function reconnection(initialReconnectionDelay: number) {
  return { initialReconnectionDelay, maxReconnectionDelay: 30_000, reconnectionDelayGrowFactor: 1.5, maxRetries: 2 };
}

/** A connect that failed half way would leave its sockets and timers behind. */
async function connected(client: { close(): Promise<void> }, connecting: Promise<void>): Promise<void> {
  try {
    await connecting;
  } catch (error) {
    await client.close();
    throw error;
  }
}

/** The part of both SDKs' clients that is the same. */
interface AnyClient {
  onerror?: ((error: Error) => void) | undefined;
  fallbackNotificationHandler?: ((notification: ReceivedNotification) => Promise<void>) | undefined;
  close(): Promise<void>;
}

function observe(client: ClientV1 | ClientV2): Observed {
  const errors: Error[] = [];
  const log = journal<ReceivedNotification>(({ method }) => method);
  const any = client as AnyClient;
  any.onerror = (error) => errors.push(error);
  any.fallbackNotificationHandler = async (notification) => log.add(notification);
  return closeable({
    errors,
    notifications: log.entries,
    notification: (method: string, options?: WaitOptions) =>
      log.find((entry) => entry.method === method, method, options),
    close: () => any.close(),
  });
}
