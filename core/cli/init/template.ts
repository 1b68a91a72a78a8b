/** The text of a new configuration. Names and values come from files of strangers: each is written as a literal. */
import { isRecord } from "../../body/message.ts";
import type { Json } from "../../types.ts";
import type { Conversion } from "./convert.ts";

const EXAMPLE = `    // The server's Streamable HTTP endpoint: put your own here.
    docs: {
      url: "https://docs.example.com/mcp",
      // Sent with every request to it. \${DOCS_TOKEN} is that environment variable, so that no secret stands in this file.
      // headers: { authorization: "Bearer \${DOCS_TOKEN}" },
      // Only for this server:
      // plugins: [toolFilter({ deny: ["delete_*"] })],
      // timeouts: { call: 600_000 },
    },
    // Or one that is started by a command:
    // files: { command: "npx", args: ["-y", "@modelcontextprotocol/server-filesystem", "."] },`;

/** @param conversion servers of another file; without it there is one example */
export function renderConfig(conversion?: Conversion): string {
  const servers = conversion
    ? [...conversion.servers.map(renderServer), ...conversion.skipped.map(renderSkipped)].join("\n")
    : EXAMPLE;
  return `/** Configuration of Penstock: \`penstock check\` checks it, \`penstock\` starts it. */
import { defineConfig } from "mcp-penstock";
import { standard } from "mcp-penstock/plugins/standard";
// import { rateLimit } from "mcp-penstock/plugins/rate-limit";
// import { toolFilter } from "mcp-penstock/plugins/tool-filter";

export default defineConfig({
  // The name of a server becomes its public path: /docs/mcp
  servers: {
${servers}
  },

  // Behaviours of all servers. Requests pass from first to last, answers from last to first.
  plugins: [
    standard(),
    // rateLimit({ perMinute: 600 }),
  ],

  // port: 3333,
  // host: "127.0.0.1",
});
`;
}

function renderServer({ name, entry }: Conversion["servers"][number]): string {
  return `    ${key(name)}: ${object(entry)},`;
}

function object(entry: Json): string {
  const members = Object.entries(entry).map(
    ([name, value]) => `${key(name)}: ${isRecord(value) ? object(value) : literal(value)}`,
  );
  return `{ ${members.join(", ")} }`;
}

function renderSkipped({ name, reason, entry }: Conversion["skipped"][number]): string {
  return `    // Left out, because ${reason}:\n    // ${key(name)}: ${literal(entry)},`;
}

function key(name: string): string {
  if (name === "__proto__") return '["__proto__"]';
  return /^[A-Za-z_$][\w$]*$/.test(name) ? name : literal(name);
}

/** JSON, on one line for JavaScript too: a comment ends at U+2028. */
function literal(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\u007F-\u009F\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
