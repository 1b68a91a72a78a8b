import { Client as ClientV2, StreamableHTTPClientTransport as TransportV2 } from "@modelcontextprotocol/client";
import type { OAuthClientProvider } from "@modelcontextprotocol/sdk/client/auth.js";
import { Client as ClientV1 } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as TransportV1 } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { type Closeable, closeable } from "./loopback.ts";
import { type RecordedRequest, recordingServer } from "./servers/http.ts";
import { type TokenMint, serverMetadata, tokenMint } from "./token-mint.ts";

/** An authorization server on loopback. */
export interface FakeIssuer extends Closeable {
  /** With a path, as issuers of several tenants have one. */
  readonly issuer: string;
  readonly requests: RecordedRequest[];
  readonly mint: TokenMint;
}

export async function startFakeIssuer(): Promise<FakeIssuer> {
  const mint = tokenMint("as");
  let issuer = "";
  const server = await recordingServer(
    async () => {},
    ({ method, target, body }, _request, response) => {
      const { pathname, searchParams } = new URL(target, "http://localhost");
      const reply = (status: number, value: unknown, headers = {}) => {
        response.writeHead(status, { "content-type": "application/json", ...headers });
        response.end(JSON.stringify(value));
        return true;
      };
      switch (`${method} ${pathname}`) {
        case "GET /.well-known/oauth-authorization-server/tenant": {
          const [authorize, token, register] = ["authorize", "token", "register"].map((name) => `${issuer}/${name}`);
          return reply(200, { issuer, ...serverMetadata(authorize!, token!, register!) });
        }
        case "POST /tenant/register":
          return reply(201, mint.register(body as Record<string, unknown>));
        case "GET /tenant/authorize": {
          const found = mint.authorize(searchParams, issuer);
          return typeof found === "string" ? reply(400, found) : reply(302, {}, { location: found.href });
        }
        case "POST /tenant/token":
          return reply(...mint.token(new URLSearchParams(body as string)));
        default:
          return reply(404, {});
      }
    },
  );
  issuer = `http://127.0.0.1:${server.port}/tenant`;
  return closeable({ issuer, requests: server.requests, mint, close: server.stop });
}

/** A client that logged in, and what it asked for on the way. */
export interface LoggedIn extends Closeable {
  readonly client: {
    listTools(): Promise<{ tools: { name: string }[] }>;
    callTool(params: { name: string; arguments?: Record<string, unknown> }): Promise<unknown>;
  };
  /** Every request of the SDK and of the browser, as `METHOD URL` without query. */
  readonly requests: string[];
  /** Where the browser was sent first. */
  readonly authorizeUrl: URL;
  /** The same, and where it was sent later. */
  readonly authorizeUrls: readonly URL[];
}

/**
 * What a browser and a user do: follow the link, and come back with what is in the address.
 *
 * @param browse goes the whole way, where there is more than one redirect
 */
export async function logIn(era: "v1" | "v2", url: string, browse?: (link: string) => Promise<URL>): Promise<LoggedIn> {
  const requests: string[] = [];
  const record = async (input: string | URL | Request, init?: RequestInit) => {
    const target = new URL(input instanceof Request ? input.url : input);
    requests.push(`${init?.method ?? "GET"} ${target.origin}${target.pathname}`);
    return fetch(input, init);
  };
  const authorizeUrls: URL[] = [];
  const provider = memoryProvider((target) => void authorizeUrls.push(target));
  const make = () =>
    era === "v1"
      ? {
          client: new ClientV1({ name: "v1", version: "1" }),
          transport: new TransportV1(new URL(url), { authProvider: provider, fetch: record }),
        }
      : {
          client: new ClientV2({ name: "v2", version: "1" }, { versionNegotiation: { mode: "auto" } }),
          transport: new TransportV2(new URL(url), { authProvider: provider as never, fetch: record as never }),
        };
  const connect = ({ client, transport }: ReturnType<typeof make>) =>
    (client as ClientV1).connect(transport as TransportV1);

  async function follow(link: URL): Promise<URL> {
    const answer = await record(link, { redirect: "manual" });
    const location = answer.headers.get("location");
    if (!location) throw new Error(`no redirect back: HTTP ${answer.status} ${await answer.text()}`);
    await answer.body?.cancel();
    return new URL(location);
  }
  const first = make();
  const refused: unknown = await connect(first).catch((error: unknown) => error);
  const [authorizeUrl] = authorizeUrls;
  if (!authorizeUrl) throw new Error("the client did not ask its user to log in", { cause: refused });
  const { searchParams } = browse ? await browse(authorizeUrl.href) : await follow(authorizeUrl);
  if (era === "v1") await (first.transport as TransportV1).finishAuth(searchParams.get("code")!);
  else await (first.transport as TransportV2).finishAuth(searchParams);
  await first.client.close();
  const second = make();
  await connect(second);
  return closeable({
    client: second.client as LoggedIn["client"],
    requests,
    authorizeUrl,
    authorizeUrls,
    close: () => second.client.close(),
  });
}

function memoryProvider(redirect: (target: URL) => void): OAuthClientProvider {
  const kept: Record<string, unknown> = {};
  return {
    redirectUrl: "http://127.0.0.1:9/callback",
    clientMetadata: { client_name: "test", redirect_uris: ["http://127.0.0.1:9/callback"] },
    clientInformation: () => kept.client as never,
    saveClientInformation: (value) => void (kept.client = value),
    tokens: () => kept.tokens as never,
    saveTokens: (value) => void (kept.tokens = value),
    codeVerifier: () => kept.verifier as string,
    saveCodeVerifier: (value) => void (kept.verifier = value),
    redirectToAuthorization: redirect,
    saveDiscoveryState: (value: unknown) => void (kept.discovery = value),
    discoveryState: () => kept.discovery as never,
  } as OAuthClientProvider;
}
