/** Results of a modern server as legacy clients know them: without what only 2026-07-28 has, and not taken apart where that is not needed. */
import { type Json, JsonObject, type JsonText, isRecord } from "../../../core/index.ts";
import { type Tool, type ToolCatalog, isWrapped } from "../params.ts";

/** What the result depends on. */
export interface ResultContext {
  method: string;
  /** Where tools are remembered, and under which credential. */
  tools: ToolCatalog;
  key: string;
  /** The tool that was called. */
  tool: Tool | undefined;
  /** Tools with annotations that break the rules are left out: clients over HTTP must (MCP 2026-07-28, Transports). */
  drops: boolean;
  complain(why: string): void;
}

/** Members that legacy clients do not know; official SDK clients refuse an empty result that has any. */
const MODERN_ONLY = ["resultType", "ttlMs", "cacheScope"];

/** @param result of a request that is done; it is changed */
export function legacyResult(result: JsonObject, context: ResultContext): JsonObject {
  for (const key of MODERN_ONLY) result.delete(key);
  if (context.method === "tools/list") listed(result, context);
  else if (context.method === "tools/call") called(result, context.tool?.wraps ?? false);
  return result;
}

function listed(result: JsonObject, { tools, key, drops, complain }: ResultContext): void {
  const all = result.objects("tools");
  if (!all) return;
  const kept = all.filter((one) => {
    const name = one.value("name");
    if (typeof name !== "string") return true;
    const outputSchema = one.value("outputSchema");
    const isValid = tools.learn(key, name, { inputSchema: one.value("inputSchema"), outputSchema }) !== undefined;
    if (isWrapped(outputSchema)) one.set("outputSchema", JSON.stringify(wrapSchema(outputSchema as Json)));
    if (isValid || !drops) return true;
    complain(`tool ${JSON.stringify(name)} is left out: its x-mcp-header annotations break the rules`);
    return false;
  });
  result.set("tools", kept);
}

/** MCP 2025-11-25, Tools: structured content is an object, and a text block says the same. */
function called(result: JsonObject, wraps: boolean): void {
  if (!result.has("content")) result.set("content", "[]");
  const structured = result.text("structuredContent");
  if (!structured) return;
  const isObject = structured[0] === 0x7b;
  if (isObject && !wraps) return;
  result.set("structuredContent", JsonObject.empty().set("result", structured));
  if (!isObject) addText(result, structured);
}

function addText(result: JsonObject, text: JsonText): void {
  const blocks = result.objects("content");
  if (!blocks || blocks.some((block) => block.value("type") === "text")) return;
  const block = JsonObject.empty().set("type", '"text"').set("text", JSON.stringify(text.toString()));
  result.set("content", [...blocks, block]);
}

/** Keywords whose values are data, and not schemas. */
const DATA: ReadonlySet<string> = new Set(["const", "enum", "default", "examples"]);
/** Keywords with schemas by name: a name is no keyword. */
const NAMED: ReadonlySet<string> = new Set([
  "properties",
  "patternProperties",
  "$defs",
  "definitions",
  "dependentSchemas",
  "dependencies",
]);

/** The schema of an object that has the value as `result`. */
function wrapSchema(schema: Json): Json {
  const { $schema, ...inner } = schema;
  return {
    ...($schema !== undefined && { $schema }),
    type: "object",
    properties: { result: moved(inner) },
    required: ["result"],
  };
}

/** References within the document follow the schema to its new place (RFC 6901 pointers, from the root). */
function moved(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(moved);
  if (!isRecord(schema)) return schema;
  // JSON Schema 2020-12, §8.2.1: from here on references count from this schema.
  if (typeof schema.$id === "string" && !schema.$id.startsWith("#")) return schema;
  const change = ([key, value]: [string, unknown]): [string, unknown] => {
    if ((key === "$ref" || key === "$dynamicRef") && typeof value === "string") return [key, movedRef(value)];
    if (DATA.has(key)) return [key, value];
    if (!NAMED.has(key) || !isRecord(value)) return [key, moved(value)];
    return [key, Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, moved(inner)]))];
  };
  return Object.fromEntries(Object.entries(schema).map(change));
}

function movedRef(ref: string): string {
  return ref === "#" || ref.startsWith("#/") ? `#/properties/result${ref.slice(1)}` : ref;
}
