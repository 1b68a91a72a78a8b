/** An authorization server that counts: it issues tokens, and says which of them are alive. */
import { createServer } from "node:http";
import type { Intercept } from "./servers.ts";
import { type Closeable, closeable, listen, stop } from "./loopback.ts";

/** One request for a token. */
export interface TokenRequest {
  /** Counts from 1. */
  number: number;
  parameters: Record<string, string>;
  /** `Authorization`, as it came. */
  authorization: string | undefined;
  contentType: string | undefined;
}

/** What is said to one: members of a JSON object, or anything else. `"hang"` says nothing. */
export type TokenAnswer =
  | "hang"
  | { status?: number; body: unknown; type?: string; headers?: Record<string, string>; text?: string };

export interface TokenServerOptions {
  /** In place of a token. @param token that would be issued */
  answer?: (request: TokenRequest, token: string) => TokenAnswer | undefined | Promise<TokenAnswer | undefined>;
  /** `expires_in`, in seconds. @default 3600 */
  lifetime?: number;
  /** The path of its issuer. @default none */
  path?: string;
  /** Added to its metadata; `undefined` as the whole: it has none. */
  metadata?: Record<string, unknown> | null;
  /** Where the metadata lie. @default as RFC 8414 §3.1 has it */
  metadataPath?: string;
}

export interface TokenServer extends Closeable {
  readonly issuer: string;
  readonly tokenEndpoint: string;
  readonly requests: TokenRequest[];
  /** Paths of other requests. */
  readonly others: string[];
  /** Tokens that are accepted, and for whom they were issued: the subject token, or the client. */
  readonly live: Map<string, string>;
  /** From now on nothing that was issued counts. */
  revokeAll(): void;
  /** For a server that accepts these tokens only: says who is asking by `seen`. */
  protect(seen?: (owner: string, method: string, body: unknown) => void): Intercept;
}

/** Starts one. */
export async function tokenServer(options: TokenServerOptions = {}): Promise<TokenServer> {
  const { answer, lifetime = 3600, path = "", metadata = {}, metadataPath } = options;
  const requests: TokenRequest[] = [];
  const others: string[] = [];
  const live = new Map<string, string>();
  let origin = "";
  const server = createServer((request, response) => {
    let text = "";
    request.setEncoding("utf8");
    request.on("data", (chunk: string) => (text += chunk));
    request.on("end", () => {
      if (request.method === "POST" && request.url === `${path}/token`) return void token(text);
      others.push(request.url!);
      const place = metadataPath ?? `/.well-known/oauth-authorization-server${path}`;
      if (metadata === null || request.url !== place) return say({ status: 404, body: { error: "not_found" } });
      say({ body: { issuer: origin + path, token_endpoint: `${origin}${path}/token`, ...metadata } });
    });
    async function token(posted: string): Promise<void> {
      const parameters = Object.fromEntries(new URLSearchParams(posted));
      const { authorization, "content-type": contentType } = request.headers;
      const made: TokenRequest = { number: requests.length + 1, parameters, authorization, contentType };
      requests.push(made);
      const issued = `token-${made.number}-${crypto.randomUUID()}`;
      const said = (await answer?.(made, issued)) ?? {
        body: { access_token: issued, token_type: "Bearer", expires_in: lifetime },
      };
      if (said === "hang") return;
      const { access_token: given } = said.body as { access_token?: string };
      if (typeof given === "string") live.set(given, parameters.subject_token ?? parameters.assertion ?? "client");
      say(said);
    }
    function say({ status = 200, body, type = "application/json", headers = {}, text }: Exclude<TokenAnswer, "hang">) {
      response.writeHead(status, { "content-type": type, "cache-control": "no-store", ...headers });
      response.end(text ?? JSON.stringify(body));
    }
  });
  origin = `http://127.0.0.1:${await listen(server)}`;
  return closeable({
    issuer: origin + path,
    tokenEndpoint: `${origin}${path}/token`,
    requests,
    others,
    live,
    revokeAll: () => live.clear(),
    protect(seen?: Parameters<TokenServer["protect"]>[0]): Intercept {
      return ({ method, body, headers }, _request, response) => {
        const [, presented = ""] = /^Bearer (\S+)$/.exec(headers.authorization ?? "") ?? [];
        const owner = live.get(presented);
        if (owner !== undefined) {
          seen?.(owner, method, body);
          return false;
        }
        response.writeHead(401, { "www-authenticate": 'Bearer error="invalid_token"', "content-type": "text/plain" });
        response.end("who are you?");
        return true;
      };
    },
    close: () => stop(server),
  });
}
