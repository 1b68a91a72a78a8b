/**
 * Arguments of tools that are mirrored by header fields: what a tool's schema declares with `x-mcp-header` (MCP 2026-07-28,
 * Transports, "Custom Headers from Tool Parameters"; SEP-2243).
 */
import { type Json, type JsonObject, decodeMirror, encodeMirror, isRecord } from "../../core/index.ts";

/** One argument with a header field of its own. */
export interface HeaderParam {
  /** Keys that lead to it in the arguments. */
  path: readonly string[];
  name: string;
}

/** What is remembered of a tool. */
export interface Tool {
  params: readonly HeaderParam[];
  /** Its output schema is no object schema: legacy clients see its structured content inside of one. */
  wraps: boolean;
}

const ANNOTATION = "x-mcp-header";
const PREFIX = "mcp-param-";
/** RFC 9110 §5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~\dA-Za-z]+$/;
const INTEGER = /^-?\d+$/;
const TYPES: readonly unknown[] = ["string", "integer", "boolean"];
/** Keywords whose schemas may not be annotated: no chain of `properties` leads there. One schema, or a list of them. */
const ELSEWHERE = [
  "items",
  "prefixItems",
  "contains",
  "additionalProperties",
  "additionalItems",
  "unevaluatedProperties",
  "unevaluatedItems",
  "propertyNames",
  "contentSchema",
  "oneOf",
  "anyOf",
  "allOf",
  "not",
  "if",
  "then",
  "else",
];
/** The same, by name. */
const ELSEWHERE_BY_NAME = ["patternProperties", "dependentSchemas", "$defs", "definitions"];
/** Deepest schema that is looked at. */
const MAX_DEPTH = 64;

/** @returns `undefined` where the schema breaks a rule: its tool must not be offered to clients over HTTP */
export function headerParams(inputSchema: unknown): readonly HeaderParam[] | undefined {
  const found: HeaderParam[] = [];
  const names = new Set<string>();

  function isValid(schema: unknown, path: readonly string[], reachable: boolean, depth: number): boolean {
    if (!isRecord(schema)) return true;
    if (depth > MAX_DEPTH) return false;
    if (ANNOTATION in schema && !(reachable && path.length > 0 && declare(schema, path))) return false;
    const isElsewhere = (one: unknown) => isValid(one, path, false, depth + 1);
    const properties = isRecord(schema.properties) ? Object.entries(schema.properties) : [];
    return (
      properties.every(([key, inner]) => isValid(inner, [...path, key], reachable, depth + 1)) &&
      ELSEWHERE.every((key) => [schema[key]].flat().every(isElsewhere)) &&
      ELSEWHERE_BY_NAME.every((key) => Object.values(schema[key] ?? {}).every(isElsewhere))
    );
  }

  function declare(schema: Json, path: readonly string[]): boolean {
    const name = schema[ANNOTATION];
    if (typeof name !== "string" || !TOKEN.test(name) || !TYPES.includes(schema.type)) return false;
    const key = name.toLowerCase();
    if (names.has(key)) return false;
    names.add(key);
    found.push({ path, name });
    return true;
  }

  return isValid(inputSchema, [], true, 0) ? found : undefined;
}

/** Header fields for the arguments of one call: name, value. @param args `undefined` where there are none */
export function paramFields(params: readonly HeaderParam[], args: JsonObject | undefined): [string, string][] {
  const fields: [string, string][] = [];
  for (const { path, name } of params) {
    const value = fieldOf(jsonAt(args, path));
    if (value !== undefined) fields.push([`${PREFIX}${name.toLowerCase()}`, encodeMirror(value)]);
  }
  return fields;
}

/** What is wrong with the header fields of a call; `undefined`: nothing. Those of arguments that are not there do not count. */
export function wrongField(
  params: readonly HeaderParam[],
  args: JsonObject | undefined,
  headers: Headers,
): string | undefined {
  for (const { path, name } of params) {
    const json = jsonAt(args, path);
    const value = fieldOf(json);
    if (value === undefined) continue;
    const field = headers.get(`${PREFIX}${name.toLowerCase()}`);
    if (field === null) return `Mcp-Param-${name} is missing.`;
    const said = decodeMirror(field);
    if (said !== value && (json!.startsWith('"') || !isSameInteger(said ?? "", value)))
      return `Mcp-Param-${name} is not params.arguments.${path.join(".")}.`;
  }
  return undefined;
}

/** MCP 2026-07-28, Transports: servers should compare integers as numbers. */
function isSameInteger(one: string, other: string): boolean {
  const [a, b] = [one, other].map((text) => text.replace(/\.0+$/, ""));
  return INTEGER.test(a!) && INTEGER.test(b!) && BigInt(a!) === BigInt(b!);
}

function jsonAt(args: JsonObject | undefined, path: readonly string[]): string | undefined {
  let holder = args;
  for (const key of path.slice(0, -1)) holder = holder?.object(key);
  return holder?.text(path.at(-1)!)?.toString();
}

/** @param json text of the argument */
function fieldOf(json: string | undefined): string | undefined {
  if (json === undefined || json === "null") return undefined;
  if (json === "true" || json === "false") return json;
  if (json.startsWith('"')) return JSON.parse(json) as string;
  // As it was written: a number of the runtime would lose digits.
  if (INTEGER.test(json)) return json === "-0" ? "0" : json;
  const number = Number(json);
  return Number.isFinite(number) ? String(number) : undefined;
}

/** Asks a server for all its tools, with everything that belongs to them. */
export type ListTools = () => Promise<readonly Json[]>;

interface Shelf {
  tools: Map<string, Tool>;
  /** `performance.now()` of the last complete list. */
  listedAt: number;
  listing: Promise<void> | undefined;
}

/** Credentials, and tools of each, that are remembered. */
const MAX_SHELVES = 1000;
const MAX_TOOLS = 10_000;
/** A tool that is not in the list is not looked for again for this long, in milliseconds. */
const UNKNOWN = 10_000;

/** The tools of one server, for each credential: a server may show callers different ones. */
export class ToolCatalog {
  readonly #shelves = new Map<string, Shelf>();

  /** What a list says of a tool. @returns `undefined` where its annotations break a rule */
  learn(key: string, name: string, { inputSchema, outputSchema }: Json): Tool | undefined {
    const params = headerParams(inputSchema);
    const { tools } = this.#shelf(key);
    if (tools.size >= MAX_TOOLS && !tools.has(name)) tools.delete(tools.keys().next().value!);
    tools.set(name, { params: params ?? [], wraps: isWrapped(outputSchema) });
    return params && tools.get(name);
  }

  /** What is known without asking. */
  get(key: string, name: string): Tool | undefined {
    return this.#shelves.get(key)?.tools.get(name);
  }

  /** @param list asks the server, where the tool is not known yet */
  async find(key: string, name: string, list: ListTools): Promise<Tool | undefined> {
    const shelf = this.#shelf(key);
    if (!shelf.tools.has(name) && performance.now() - shelf.listedAt > UNKNOWN) await this.refresh(key, list);
    return shelf.tools.get(name);
  }

  /** Asks the server once for all who want to know at the same time. Where it does not answer, what is known stays. */
  refresh(key: string, list: ListTools): Promise<void> {
    const shelf = this.#shelf(key);
    return (shelf.listing ??= this.#list(key, shelf, list).finally(() => (shelf.listing = undefined)));
  }

  async #list(key: string, shelf: Shelf, list: ListTools): Promise<void> {
    const tools = await list().catch(() => undefined);
    if (!tools) return;
    shelf.tools.clear();
    shelf.listedAt = performance.now();
    for (const tool of tools) if (typeof tool.name === "string") this.learn(key, tool.name, tool);
  }

  /** What is known may not be true any more. */
  forget(key: string): void {
    this.#shelves.delete(key);
  }

  #shelf(key: string): Shelf {
    let shelf = this.#shelves.get(key);
    if (!shelf) {
      if (this.#shelves.size >= MAX_SHELVES) this.#shelves.delete(this.#shelves.keys().next().value!);
      shelf = { tools: new Map(), listedAt: Number.NEGATIVE_INFINITY, listing: undefined };
      this.#shelves.set(key, shelf);
    }
    return shelf;
  }
}

/** MCP 2025-11-25, Tools, Output Schema: the schema of an object. */
export function isWrapped(outputSchema: unknown): boolean {
  return isRecord(outputSchema) && outputSchema.type !== "object";
}
