import { originOf } from "./plugins.ts";

/** A configuration holds something that lives in the test process only, such as a hook that opens a gate. */
export class NotPortableError extends Error {
  override readonly name = "NotPortableError";
}

/**
 * The text of a module that exports this configuration by default: data as literals, plugins as calls of the factories that
 * made them.
 *
 * @throws NotPortableError for functions and for objects that are no plain data
 */
export function configModule(config: unknown): string {
  const imports = new Map<string, string>();
  const body = source(config, imports);
  return [...imports.values(), `export default ${body};`, ""].join("\n");
}

function source(value: unknown, imports: Map<string, string>): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "function" || typeof value === "symbol")
    throw new NotPortableError("their plugins live in the test process");
  if (typeof value !== "object" || value === null) return Object.is(value, -0) ? "-0" : String(value);
  if (value instanceof RegExp) return `new RegExp(${JSON.stringify(value.source)}, ${JSON.stringify(value.flags)})`;
  const origin = originOf(value);
  if (origin) {
    const { module, factory, args, index } = origin;
    const made = `${nameOf(module, factory, imports)}(${args.map((arg) => source(arg, imports)).join(", ")})`;
    return index === undefined ? made : `${made}[${index}]`;
  }
  if (Array.isArray(value)) return `[${value.map((each) => source(each, imports)).join(", ")}]`;
  if (![Object.prototype, null].includes(Object.getPrototypeOf(value) as object))
    throw new NotPortableError("their plugins live in the test process");
  const entries = Object.entries(value).map(([key, each]) => `${JSON.stringify(key)}: ${source(each, imports)}`);
  return `{ ${entries.join(", ")} }`;
}

function nameOf(module: string, factory: string, imports: Map<string, string>): string {
  const key = `${module}#${factory}`;
  const name = `${factory}_${[...imports.keys(), key].indexOf(key)}`;
  imports.set(key, `import { ${factory} as ${name} } from ${JSON.stringify(module)};`);
  return name;
}
