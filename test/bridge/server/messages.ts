/** Texts of what servers say. Big numbers are written by hand, so that they can be compared by their digits. */
import { BIG, LEVELS, type Level, type List, type Question, type Script, type ScriptedMethod } from "../plan.ts";

export const VERSION = "2025-11-25";
export const MODERN_VERSION = "2026-07-28";
export const META = "io.modelcontextprotocol/";
export const SERVER_INFO = { name: "scripted", version: "1" };
export const CAPABILITIES = {
  tools: { listChanged: true },
  prompts: { listChanged: true },
  resources: { listChanged: true, subscribe: true },
  logging: {},
};

export interface Wire {
  jsonrpc: "2.0";
  id?: string | number;
  method?: string;
  params?: Record<string, unknown> & { _meta?: Record<string, unknown> };
  result?: Record<string, unknown> & { _meta?: Record<string, unknown> };
  error?: { code: number; message: string; data?: unknown };
}

export function text(message: object): string {
  return JSON.stringify({ jsonrpc: "2.0", ...message });
}

/** @param result JSON text */
export function resultText(id: unknown, result: string): string {
  return `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${result}}`;
}

export function errorText(id: unknown, code: number, message: string, data?: unknown): string {
  return text({ id, error: { code, message, ...(data !== undefined && { data }) } });
}

/** The arguments of a call as they must arrive: the text between the braces of `arguments`, for tools. */
export function scriptOf(method: ScriptedMethod, params: Record<string, unknown>): Script | undefined {
  if (method === "tools/call") return params.arguments as Script | undefined;
  if (method === "prompts/get")
    return JSON.parse((params.arguments as { script: string } | undefined)?.script ?? "null") as Script;
  const found = /^script:\/\/run\/(.*)$/.exec(String(params.uri))?.[1];
  return found === undefined ? undefined : (JSON.parse(Buffer.from(found, "base64url").toString()) as Script);
}

/** What stands in the text of a request for its arguments, digit by digit. */
export function argumentsText(raw: string): string {
  return (/"arguments":(\{.*?"sum":"[^"]*"\})/.exec(raw) ?? /"uri":"([^"]*)"/.exec(raw))?.[1] ?? "";
}

/** The result of a script, as JSON text without its braces. */
export function outcome(method: ScriptedMethod, script: Script, uri: unknown): string {
  const payload = JSON.stringify({ nonce: script.nonce });
  if (method === "tools/call") {
    const failed = script.end === "fail" ? `,"isError":true` : "";
    return `"content":[{"type":"text","text":"of ${script.nonce}"}],"structuredContent":{"nonce":"${script.nonce}","big":${BIG}}${failed}`;
  }
  if (method === "prompts/get")
    return `"messages":[{"role":"user","content":{"type":"text","text":${JSON.stringify(payload)}}}],"big":${BIG}`;
  return `"contents":[{"uri":${JSON.stringify(uri)},"mimeType":"text/plain","text":${JSON.stringify(payload)}}],"big":${BIG}`;
}

export function listText(method: List | "resources/templates/list"): string {
  if (method === "tools/list") {
    const properties = { nonce: { type: "string" }, region: { type: "string", "x-mcp-header": "Region" } };
    return `"tools":[{"name":"script","description":"does as told","inputSchema":${JSON.stringify({ type: "object", properties })}}]`;
  }
  if (method === "prompts/list") return `"prompts":[{"name":"script","arguments":[{"name":"script","required":true}]}]`;
  if (method === "resources/list") return `"resources":[{"uri":"note://a","name":"a"},{"uri":"note://b","name":"b"}]`;
  return `"resourceTemplates":[{"uriTemplate":"script://run/{script}","name":"script"}]`;
}

/** A question as its method and parameters. */
export function question(
  { nonce }: Script,
  { key, kind }: Question,
  legacy: boolean,
): { method: string; params?: object } {
  const message = `${nonce} ${key}`;
  if (kind === "roots") return { method: "roots/list" };
  if (kind === "sampling")
    return {
      method: "sampling/createMessage",
      params: { messages: [{ role: "user", content: { type: "text", text: message } }], maxTokens: 100 },
    };
  if (kind === "url")
    return {
      method: "elicitation/create",
      params: {
        mode: "url",
        message,
        url: `https://login.example.com/${nonce}/${key}`,
        ...(legacy && { elicitationId: `${nonce}-${key}` }),
      },
    };
  const requestedSchema = { type: "object", properties: { token: { type: "string" } }, required: ["token"] };
  return { method: "elicitation/create", params: { mode: "form", message, requestedSchema } };
}

export function needs({ kind }: Question): string {
  return kind === "form" || kind === "url" ? "elicitation" : kind;
}

export function reaches(level: Level, least: Level | undefined): boolean {
  return least !== undefined && LEVELS.indexOf(level) >= LEVELS.indexOf(least);
}
