import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { checkConfig, loadConfigFile } from "../../core/config.ts";
import type { ProxyError } from "../../core/errors.ts";
import { environment, folderWith } from "./files.ts";

const url = "http://127.0.0.1:9/mcp";
/** What the user reads: the line with the file, then one line per mistake. */
function mistakes(config: unknown): string[] {
  try {
    checkConfig(config, "/etc/penstock.json");
  } catch (error) {
    expect(error).toMatchObject({ name: "ProxyError", code: "BAD_CONFIG" });
    const [file, ...lines] = (error as ProxyError).details.hint!.split("\n");
    expect(file).toBe("/etc/penstock.json:");
    return lines.map((line) => line.replace(/^ {2}- /, ""));
  }
  return [];
}
const inServer = (more: object) => mistakes({ servers: { a: { url, ...more } } });
const SERVER_KEYS =
  "url, transport, headers, tls, auth, era, path, ssePath, plugins, timeouts, maxRequestBytes, maxMessageBytes";

describe("each mistake is one line: where, what was found, what is allowed", () => {
  test.each<[string, unknown, string]>([
    ["no servers", {}, "servers: it is missing; allowed is an object."],
    ["empty servers", { servers: {} }, "servers: found an empty object; allowed is at least one server."],
    ["servers as a list", { servers: [] }, "servers: found a list; allowed is an object."],
    ["a list for everything", [], "servers: it is missing; allowed is an object."],
    ["nothing at all", null, "servers: it is missing; allowed is an object."],
    ["a server that is null", { servers: { a: null } }, "servers.a: found null; allowed is an object."],
    ["a server that is text", { servers: { a: "x" } }, "servers.a: found a string; allowed is an object."],
    [
      "an unknown key",
      { servers: { a: { url } }, prot: 1 },
      "prot: unknown key. Allowed are servers, plugins, port, host, socket, tls, clientLimits, drainTimeout, lameDuck, allowUnauthenticated, publicUrl, secret, store, trustedProxies.",
    ],
    [
      "extends, which c12 would load",
      { servers: { a: { url } }, extends: "x" },
      "extends: unknown key. Allowed are servers, plugins, port, host, socket, tls, clientLimits, drainTimeout, lameDuck, allowUnauthenticated, publicUrl, secret, store, trustedProxies.",
    ],
    [
      "a boolean misspelt",
      { servers: { a: { url } }, allowUnauthenticated: "flase" },
      'allowUnauthenticated: found "flase"; allowed is true or false.',
    ],
    [
      "a port as text",
      { servers: { a: { url } }, port: "80" },
      'port: found "80"; allowed is a whole number from 0 to 65535.',
    ],
    [
      "a port that does not exist",
      { servers: { a: { url } }, port: 65_536 },
      "port: found 65536; allowed is 0 to 65535.",
    ],
    [
      "an empty host",
      { servers: { a: { url } }, host: "" },
      'host: found ""; allowed is an address such as "127.0.0.1".',
    ],
    [
      "a drain time below zero",
      { servers: { a: { url } }, drainTimeout: -1 },
      "drainTimeout: found -1; allowed is 0 or more milliseconds.",
    ],
    [
      "plugins that are none",
      { servers: { a: { url } }, plugins: "x" },
      'plugins: found "x"; allowed is a plugin, or a list of plugins.',
    ],
  ])("%s", (_, config, line) => expect(mistakes(config)).toEqual([line]));

  test.each<[string, object, string]>([
    ["an unknown key", { timeout: 1 }, `servers.a.timeout: unknown key. Allowed are ${SERVER_KEYS}.`],
    [
      "an unknown time-out",
      { timeouts: { cal: 1 } },
      "servers.a.timeouts.cal: unknown key. Allowed are connect, headers, call, body, stream.",
    ],
    [
      "an unknown TLS option",
      { tls: { caFile: "x" } },
      "servers.a.tls.caFile: unknown key. Allowed are ca, cert, key, passphrase, rejectUnauthorized.",
    ],
    ["time-outs as a number", { timeouts: 5 }, "servers.a.timeouts: found 5; allowed is an object."],
    [
      "a time-out as text",
      { timeouts: { call: "5s" } },
      "servers.a.timeouts.call: found a string; allowed is a number of milliseconds.",
    ],
    [
      "half a millisecond",
      { timeouts: { call: 1.5 } },
      "servers.a.timeouts.call: found 1.5; allowed is whole milliseconds.",
    ],
    [
      "no url",
      { url: undefined },
      'servers.a.url: it is missing; allowed is an http: or https: URL, e.g. "https://docs.example.com/mcp".',
    ],
    [
      "an url without scheme",
      { url: "127.0.0.1/mcp" },
      'servers.a.url: found a string; allowed is an http: or https: URL, e.g. "https://docs.example.com/mcp".',
    ],
    [
      "an url of another scheme",
      { url: "file:///x" },
      'servers.a.url: found a string; allowed is an http: or https: URL, e.g. "https://docs.example.com/mcp".',
    ],
    [
      "a path without slash",
      { path: "x" },
      'servers.a.path: found "x"; allowed is a path that begins with "/", without query.',
    ],
    ["no path in a list", { path: [] }, "servers.a.path: found a list; allowed is at least one path."],
    [
      "a list of paths with a number",
      { path: ["/a", 5] },
      'servers.a.path.1: found 5; allowed is a path such as "/mcp".',
    ],
    [
      "the transport stdio",
      { transport: "stdio" },
      'servers.a.transport: found "stdio"; allowed is "http" or "sse". A server that speaks over stdio needs `command`.',
    ],
    ["a limit of no bytes", { maxRequestBytes: 0 }, "servers.a.maxRequestBytes: found 0; allowed is 1 byte or more."],
    [
      "TLS checks as text",
      { tls: { rejectUnauthorized: "false" } },
      "servers.a.tls.rejectUnauthorized: found a string; allowed is true or false.",
    ],
  ])("of a server: %s", (_, more, line) => expect(inServer(more)).toEqual([line]));

  test.each<[string, object, unknown[]]>([
    ["a URL beside it", { url: 5, headers: {} }, ["servers.a: found `command` beside `url`; allowed is one of them."]],
    [
      "no program",
      { command: "" },
      [
        "servers.a.command: found a string; allowed is the name or path of a program; its arguments belong into `args`.",
      ],
    ],
    ["arguments as one text", { args: "-y c4nary" }, ["servers.a.args: found a string; allowed is a list."]],
    ["a number among the arguments", { args: ["-p", 5] }, ["servers.a.args.1: found a number; allowed is a text."]],
    ["a number in the environment", { env: { A: 5 } }, ["servers.a.env.A: found a number; allowed is a text."]],
    ["another transport", { transport: "http" }, ['servers.a.transport: found "http"; allowed is "stdio".']],
    ["no processes", { maxProcesses: 0 }, ["servers.a.maxProcesses: found 0; allowed is 1 or more."]],
    [
      "headers",
      { headers: {} },
      [expect.stringMatching(/^servers\.a\.headers: unknown key\. Allowed are command, args, env, cwd, /)],
    ],
  ])("of a server that is started by a command: %s", (_, more, lines) => {
    expect(mistakes({ servers: { a: { command: "npx", ...more } } })).toEqual(lines);
  });

  test("a server that is started by a command, with all that it may have", () => {
    const a = { command: "npx", args: ["-y"], env: { A: "b" }, shared: true, idleTimeout: 1000, maxProcesses: 5 };
    const { servers } = checkConfig({ servers: { a: { ...a, cwd: "sub" } } }, "/etc/penstock/penstock.config.json");
    expect(servers.a).toEqual({ ...a, cwd: "/etc/penstock/sub" });
  });

  test("all of them are told at once", () => {
    expect(mistakes({ servers: { a: { url: 1 }, b: { url, x: 1 } }, port: -1 })).toHaveLength(3);
  });
});

describe("no message tells a secret", () => {
  const secrets: [string, object][] = [
    ["user and password in a url", { url: "http://user:s3cret@h/mcp" }],
    ["a password in a url that is none", { url: "http//user:s3cret@h" }],
    ["a header that is a number", { headers: { authorization: 5_3217 } }],
    ["a passphrase that is a number", { tls: { passphrase: 5_3217 } }],
    ["a header that is named like a path", { headers: { path: 5_3217, host: 5_3217 } }],
  ];
  test.each(secrets)("%s", (_, more) => {
    const lines = inServer(more).join("\n");
    expect(lines).toMatch(/^servers\.a\./);
    expect(lines).not.toMatch(/s3cret|53217/);
  });

  test("the url with a password says where the password belongs", () => {
    expect(inServer({ url: "http://user:s3cret@h/mcp" })).toEqual([
      "servers.a.url: found a string; allowed is a URL without user and password; set an authorization header in `headers`.",
    ]);
  });
});

describe("variables", () => {
  test("are filled in, in every text of a server, once", () => {
    environment({ T_HOST: "127.0.0.1", T_TOKEN: "a${T_HOST}b$&" });
    const { servers } = checkConfig(
      { servers: { a: { url: "http://${T_HOST}/", headers: { x: "Bearer ${T_TOKEN}" } } } },
      "f",
    );
    // What comes in is never looked at again: a token may have any characters.
    expect(servers.a).toMatchObject({ url: "http://127.0.0.1/", headers: { x: "Bearer a${T_HOST}b$&" } });
  });

  test("that are missing are named, with their place, once", () => {
    environment({ T_NONE: undefined });
    expect(inServer({ url: "${T_NONE}" })).toEqual(["servers.a.url: the environment variable T_NONE is not set."]);
    expect(inServer({ headers: { x: "${T_NONE}" } })).toEqual([
      "servers.a.headers.x: the environment variable T_NONE is not set.",
    ]);
  });

  test("cannot be nested, and need a name", () => {
    environment({ T_B: "s3cret" });
    expect(inServer({ headers: { x: "${A${T_B}}" } })).toEqual([
      'servers.a.headers.x: "${A${T_B}" names no variable; allowed is ${NAME} with letters, digits and _.',
    ]);
    expect(inServer({ headers: { x: "${}" } })).toHaveLength(1);
    expect(inServer({ headers: { x: "${T_B:-x}" } })).toHaveLength(1);
  });

  test("that are empty are set", () => {
    environment({ T_EMPTY: "" });
    expect(inServer({ headers: { x: "${T_EMPTY}" } })).toEqual([]);
  });
});

describe("files", () => {
  const load = (files: Record<string, unknown>, file?: string) => {
    const folder = folderWith(files);
    return loadConfigFile(file, folder);
  };
  const reason = async (loading: Promise<unknown>) =>
    ((await loading.catch((error: unknown) => error)) as ProxyError).details.hint;

  test("are found by their name, in this folder only", async () => {
    expect((await load({ "penstock.config.json": { servers: { a: { url } } } }))?.config.servers.a).toEqual({ url });
    expect(await load({ "package.json": { penstock: { servers: { a: { url } } } }, ".penstockrc": "port=1" })).toBe(
      undefined,
    );
  });

  test("that are named but missing say so", async () => {
    expect(await reason(load({}, "no.json"))).toBe("There is no file no.json. Name an existing one with --config.");
  });

  test.each([
    ["JSON", "c.json", '{"servers":{"a":{"headers":{"x":s3cret}}}}', /^c\.json is not JSON: see line 1, column 33\.$/],
    [
      "TypeScript",
      "c.ts",
      'export default { a: "s3cret"\n',
      /^c\.ts could not be loaded: ParseError: Unexpected token.* \(line 2, column 0\)$/,
    ],
    [
      "code that throws",
      "c.mjs",
      'throw new Error("no token\\nin line two")',
      /^c\.mjs could not be loaded: no token$/,
    ],
  ])("with a mistake in their syntax say it in one line: %s", async (_, name, text, wanted) => {
    const hint = await reason(load({ [name]: text }, name));
    expect(hint).toMatch(wanted);
    expect(hint).not.toMatch(/s3cret/);
  });

  test("keep the list of plugins as it is: c12 merges lists where it can", async () => {
    const loaded = await load({
      "penstock.config.mjs": `export default { servers: { a: { url: "${url}" } }, plugins: [{ name: "one" }, { name: "two" }] }`,
    });
    expect(loaded?.config.plugins).toEqual([{ name: "one" }, { name: "two" }]);
  });

  test("may be functions", async () => {
    expect(
      (await load({ "c.ts": `export default () => ({ servers: { a: { url: "${url}" as string } } })` }, "c.ts"))?.config
        .servers.a,
    ).toEqual({ url });
  });

  test("that name TLS files are read relative to the configuration", async () => {
    const folder = folderWith({
      "c.json": { servers: { a: { url, tls: { ca: ["ca.pem", "-----BEGIN X"], key: "key.pem" } } } },
      "ca.pem": "CA",
      "key.pem": "KEY",
    });
    const loaded = await loadConfigFile(join(folder, "c.json"), "/");
    expect(loaded?.config.servers.a!.tls).toEqual({ ca: ["CA", "-----BEGIN X"], key: "KEY" });
  });

  test("whose TLS files are missing say which, and relative to what", async () => {
    expect(await reason(load({ "c.json": { servers: { a: { url, tls: { ca: "none.pem" } } } } }, "c.json"))).toBe(
      "servers.a.tls.ca: the file none.pem cannot be read (ENOENT). Give a path relative to the configuration, or PEM text.",
    );
  });
});
