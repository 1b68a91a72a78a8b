/** From a legacy server's response to what its modern client is told. */
import { type Answer, type Json, JsonObject, type Message } from "../../../core/index.ts";
import { declares, requiredFor } from "../../_capabilities.ts";
import type { ServerMessage } from "../messages.ts";
import { pagesOf } from "./asking.ts";
import type { Caller } from "./caller.ts";
import type { Head } from "./client-side.ts";
import { modernError, wrapped } from "./errors.ts";
import { completeResult, inputRequired } from "./results.ts";

/** What is known of the call. */
export interface About {
  readonly method: string;
  readonly isAskable: boolean;
  /** Of `resources/read`. */
  readonly uri: unknown;
  readonly caller: Caller;
  readonly serverInfo: unknown;
  readonly server: string;
}

type Told = [response: Buffer, head: Head];

/** First go to these pages (MCP 2025-11-25, Elicitation, URL Mode). */
const PAGES_FIRST = -32042;
/** Refusals that say something to the client: log in, or come back later; with the fields that tell how. */
const FOR_THE_CLIENT: ReadonlySet<number> = new Set([401, 403, 429, 503]);
const FIELDS = ["www-authenticate", "retry-after"];

/** @param declined the client was at such pages before, and did not want what they ask for */
export function responseOf({ text, isError, message }: ServerMessage, about: About, declined: boolean): Told {
  const object = JsonObject.read(text)!;
  if (!isError) {
    const result = object.object("result") ?? JsonObject.empty();
    return [object.set("result", completeResult(about.method, result, about.serverInfo)).toBytes(), { status: 200 }];
  }
  if (message.error?.code === PAGES_FIRST) return pagesFirst(object, message.error.data, about, declined);
  const { status, error } = modernError(object.object("error") ?? JsonObject.empty(), about.uri);
  return [object.set("error", error).toBytes(), { status }];
}

/** @param message of its body, where that is a response */
export function refusalOf({ status, headers }: Answer, message: ServerMessage | undefined, about: About): Told {
  if (FOR_THE_CLIENT.has(status)) {
    const fields = FIELDS.flatMap((name) => (headers.has(name) ? [[name, headers.get(name)!]] : []));
    return [failure(about, status), { status, headers: Object.fromEntries(fields) as Record<string, string> }];
  }
  const code = message?.isError ? message.message.error?.code : undefined;
  // What a 404 says of a session is no answer to a request, and in this era it would be about a method.
  if (message === undefined || code === undefined || (status === 404 && code !== -32601))
    return [failure(about, status), { status: 502 }];
  return responseOf(message, about, false);
}

function failure({ server }: About, status: number): Buffer {
  const error = { code: -32603, message: `Server '${server}' answered with HTTP ${status}.` };
  return Buffer.from(JSON.stringify({ jsonrpc: "2.0", id: 0, error }));
}

/** The pages are asked for in a result; the retry is the same call again, which the server now lets pass. */
function pagesFirst(object: JsonObject, data: unknown, about: About, declined: boolean): Told {
  const pages = about.isAskable ? pagesOf(data) : undefined;
  const canGo = declares(about.caller.capabilities, { jsonrpc: "2.0", method: "elicitation/create", params: URL_MODE });
  if (pages && !canGo) {
    const error = {
      code: -32021,
      message: `Server '${about.server}' wants its user to open a page first (elicitation.url).`,
      data: { requiredCapabilities: { elicitation: { url: {} } } },
    };
    return [object.set("error", JSON.stringify(error)).toBytes(), { status: 400 }];
  }
  // Whoever said no would be asked for ever.
  if (!pages || declined) {
    const error = wrapped(object.object("error")!);
    return [object.set("error", error).toBytes(), { status: 200 }];
  }
  return [inputRequired("0", pages, undefined, about.serverInfo), { status: 200 }];
}

/** The call failed, whether at the server or in the tool. */
export function hasFailed({ text, isError }: ServerMessage): boolean {
  return isError || JsonObject.read(text)?.object("result")?.value("isError") === true;
}

/** @param requests for which the client did not declare what they need */
export function undeclared(requests: readonly Message[], { server }: About): Told {
  const requiredCapabilities = requiredFor(requests);
  const names = Object.keys(requiredCapabilities).join(", ");
  const message = `Server '${server}' needs what its client did not declare: ${names}.`;
  const error = { code: -32021, message, data: { requiredCapabilities } };
  return [Buffer.from(JSON.stringify({ jsonrpc: "2.0", id: 0, error })), { status: 400 }];
}

const URL_MODE: Json = { mode: "url" };
