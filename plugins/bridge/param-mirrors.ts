/**
 * Header fields for arguments (MCP 2026-07-28, Transports, "Custom Headers from Tool Parameters") where one side has no fields at all.
 * A client over stdio writes none, and need not know which a tool wants: they are made for its server over HTTP. A server over stdio
 * sees none: what a client over HTTP mirrors is compared here.
 */
import {
  type Answer,
  type Exchange,
  type JsonObject,
  META,
  type Next,
  ProxyError,
  type UpstreamRequest,
  copyHeaders,
  discard,
} from "../../core/index.ts";
import { readRefusal, sentBy } from "./era-evidence.ts";
import type { BridgeHost } from "./host.ts";
import { type Tool, ToolCatalog, paramFields, wrongField } from "./params.ts";
import type { Envelope } from "./to-modern/envelope.ts";
import { messageOf } from "./to-modern/posted.ts";
import { credentialOf, listTools } from "./to-modern/tools.ts";

const MISMATCH = -32020;

export class ParamMirrors {
  readonly #host: BridgeHost;
  readonly #tools: ToolCatalog = new ToolCatalog();

  constructor(host: BridgeHost) {
    this.#host = host;
  }

  /** Whether there is something to mirror that nobody else has. */
  isFor(exchange: Exchange, request: UpstreamRequest): boolean {
    const { mount } = this.#host;
    return (
      exchange.request.stdio === true && mount.transport === "http" && sentBy(exchange, request).method === "tools/call"
    );
  }

  /**
   * A server refuses a call whose fields are missing before it runs: not before that is it asked for its tools.
   *
   * @throws ProxyError
   */
  async send(exchange: Exchange, request: UpstreamRequest, next: Next): Promise<Answer> {
    const params = messageOf(exchange, request).object("params");
    const name = params?.value("name");
    if (!params || typeof name !== "string") return next(request);
    const key = credentialOf(exchange, request);
    const sent = this.#fields(key, name, params);
    const answer = await next(withFields(request, sent));
    if (answer.status !== 400) return answer;
    const refusal = await readRefusal(answer, sentBy(exchange, request));
    if (refusal?.error?.code !== MISMATCH) return refusal?.answer ?? answer;
    await this.#tools.refresh(key, () =>
      listTools({ host: this.#host, envelope: envelopeOf(params) }, { request, next }),
    );
    const fields = this.#fields(key, name, params);
    if (fields.toString() === sent.toString()) return refusal.answer;
    discard(refusal.answer);
    return next(withFields(request, fields));
  }

  /**
   * For a server that sees no header fields.
   *
   * @throws ProxyError `HEADER_MISMATCH`
   */
  async check(exchange: Exchange, request: UpstreamRequest, next: Next): Promise<void> {
    const params = messageOf(exchange, request).object("params");
    const name = params?.value("name");
    if (!params || typeof name !== "string") return;
    const key = credentialOf(exchange, request);
    const list = () => listTools({ host: this.#host, envelope: envelopeOf(params) }, { request, next });
    const look = (tool: Tool | undefined) =>
      wrongField(tool?.params ?? [], params.object("arguments"), request.headers);
    if (look(await this.#tools.find(key, name, list)) === undefined) return;
    // The tool may be another one by now.
    await this.#tools.refresh(key, list);
    const hint = look(this.#tools.get(key, name));
    if (hint !== undefined) throw new ProxyError("HEADER_MISMATCH", { hint });
  }

  #fields(key: string, name: string, params: JsonObject): [string, string][] {
    const tool = this.#tools.get(key, name);
    return tool ? paramFields(tool.params, params.object("arguments")) : [];
  }
}

function withFields(request: UpstreamRequest, fields: readonly [string, string][]): UpstreamRequest {
  const headers = copyHeaders(request.headers);
  for (const [name, value] of fields) headers.set(name, value);
  return { ...request, headers };
}

/** The list is asked for as its client would ask. */
function envelopeOf(params: JsonObject): Envelope {
  const meta = params.object("_meta");
  const clientInfo = meta?.text(`${META}clientInfo`);
  return { clientInfo, capabilities: meta?.text(`${META}clientCapabilities`) ?? "{}", logLevel: undefined };
}
