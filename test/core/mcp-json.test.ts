import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { isProxyError } from "../../core/errors.ts";
import { readMcpJson } from "../../core/mcp-json.ts";
import { environment, folderWith } from "./files.ts";

const url = "https://docs.example.com/mcp";
/** Reads a file with this content. The folder is cut from what is said about it. */
function read(content: unknown) {
  const folder = folderWith({ "mcp.json": content });
  const said: string[] = [];
  const note = (level: string) => (text: string | (() => string)) =>
    void said.push(`${level} ${String(text).replaceAll(`${folder}/`, "")}`);
  const log = { debug: note("DEBUG"), info: note("INFO"), warn: note("WARN"), error: note("ERROR") };
  try {
    return { servers: readMcpJson(join(folder, "mcp.json"), log).servers, said, failed: "" };
  } catch (error) {
    if (!isProxyError(error)) throw error;
    return { servers: {}, said, failed: error.details.hint!.replaceAll(`${folder}/`, "") };
  }
}

describe("a file of another product is read as it is", () => {
  test("Claude's", () => {
    expect(read({ mcpServers: { docs: { type: "http", url, headers: { Authorization: "Bearer x" } } } })).toEqual({
      servers: { docs: { url, headers: { Authorization: "Bearer x" } } },
      said: [],
      failed: "",
    });
  });

  test("Cursor's, with keys of its own: one line for all of them", () => {
    const { servers, said } = read({
      mcpServers: { docs: { url, envFile: ".env", alwaysAllow: ["a"], description: "costs ${5}" } },
    });
    expect(servers).toEqual({ docs: { url } });
    expect(said).toEqual(["INFO mcp.json: server 'docs': ignored envFile, alwaysAllow, description."]);
  });

  test("a server that is started by a command, with its variables filled in", () => {
    environment({ T_SET: "set" });
    const { servers, said } = read({
      mcpServers: {
        files: {
          type: "stdio",
          command: "npx",
          args: ["-y", "${T_SET}"],
          env: { A: "${env:T_SET}" },
          cwd: "/srv",
          timeout: 5,
        },
      },
    });
    expect(servers).toEqual({ files: { command: "npx", args: ["-y", "set"], env: { A: "set" }, cwd: "/srv" } });
    expect(said).toEqual(["INFO mcp.json: server 'files': ignored timeout."]);
  });

  test("VS Code's, with inputs", () => {
    const { servers, said } = read({ inputs: [{ id: "token" }], servers: { docs: { type: "http", url } } });
    expect(servers).toEqual({ docs: { url } });
    expect(said).toEqual(["INFO mcp.json: inputs are ignored; use environment variables."]);
  });

  test("without those that are disabled, and with those of HTTP+SSE as such", () => {
    const { servers, said } = read({
      mcpServers: {
        a: { url },
        off: { url, disabled: true },
        on: { url, disabled: false },
        old: { type: "sse", url },
      },
    });
    expect(servers).toEqual({ a: { url }, on: { url }, old: { url, transport: "sse" } });
    expect(said).toEqual(["INFO mcp.json: server 'off' is disabled there and left out."]);
  });
});

describe("variables in such a file", () => {
  test("are taken in each product's form", () => {
    environment({ T_SET: "set", T_NONE: undefined });
    const headers = {
      a: "${T_SET}",
      b: "${env:T_SET}",
      c: "${T_NONE:-default}",
      d: "${env:T_NONE:-}",
      e: "${T_SET:-default}",
    };
    expect(read({ mcpServers: { docs: { url, headers } } }).servers.docs!.headers).toEqual({
      a: "set",
      b: "set",
      c: "default",
      d: "",
      e: "set",
    });
  });

  test("are filled in once: a value that looks like a variable stays, and is not printed", () => {
    environment({ T_TOKEN: "s3${cret}" });
    const { servers, failed } = read({ mcpServers: { docs: { url, headers: { a: "${T_TOKEN}" } } } });
    expect(failed).toBe("");
    expect(servers.docs!.headers).toEqual({ a: "s3${cret}" });
  });

  test("that are missing stop the start, all of them in one message", () => {
    environment({ T_NONE: undefined });
    expect(
      read({ mcpServers: { docs: { url: "${T_NONE}", headers: { a: "${input:token}" } } } }).failed.split("\n"),
    ).toEqual([
      "mcp.json:",
      "  - servers.docs.url: the environment variable T_NONE is not set.",
      '  - servers.docs.headers.a: "${input:token}" names no variable; allowed is ${NAME} with letters, digits and _.',
    ]);
  });
});

describe("a file that cannot be used says why in one message", () => {
  test.each<[string, unknown, string]>([
    ["no JSON", '{"mcpServers":{"a":{"headers":{"x":s3cret}}}}', "mcp.json is not JSON: see line 1, column 36."],
    ["a list", [], "mcp.json is not a JSON object."],
    ["other content", { x: 1 }, 'mcp.json: it has neither "mcpServers" nor "servers".'],
    ["no servers", { mcpServers: {} }, "mcp.json: no server in it can be used."],
    ["disabled ones only", { mcpServers: { a: { url, disabled: true } } }, "mcp.json: no server in it can be used."],
    [
      "a server that is text",
      { mcpServers: { a: "x" } },
      "mcp.json:\n  - servers.a: found a string; allowed is an object.",
    ],
    [
      "a server without url",
      { mcpServers: { a: {} } },
      'mcp.json:\n  - servers.a.url: it is missing; allowed is an http: or https: URL, e.g. "https://docs.example.com/mcp".',
    ],
  ])("%s", (_, content, wanted) => expect(read(content).failed).toBe(wanted));
});
