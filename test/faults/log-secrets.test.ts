/** Secrets go in by every door, and none comes out of the command line. */
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { rawClient, rawServer } from "../_harness/peers.ts";
import { runCli, startCli } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { within } from "../_harness/wait.ts";
import { folderWith } from "../core/files.ts";

const use = testScope();

/** Each its own, so that a failure tells which door it was. */
const env = { DOCS_TOKEN: "canary-env-token", PLAIN_NAME: "canary-env-plain", TLS_PASS: "canary-passphrase" };

const server = (origin: string) => ({
  url: `${origin}/s/canary0a1b2c3d4e5f6a7b8c9d/mcp?key=canary-query&q=\${PLAIN_NAME}`,
  headers: {
    authorization: "Bearer ${DOCS_TOKEN}",
    cookie: "sid=canary-cookie",
    "x-plain": "canary-header",
    "x-basic": `Basic ${Buffer.from("user:canary-basic").toString("base64")}`,
  },
  tls: { passphrase: "${TLS_PASS}" },
});

/** A configuration that throws while it is used, with what it knows. */
const failing = (origin: string) =>
  `export default {
    servers: { docs: ${JSON.stringify(server(origin))} },
    port: 0,
    plugins: [
      { name: "path", config(c) { c.servers.docs.path = "/docs"; this.url = c.servers.docs.url; this.headers = c.servers.docs.headers; } },
      {
        name: "leaky",
        request(exchange) { exchange.log.debug(\`seen \${JSON.stringify([...exchange.request.headers])} \${exchange.request.url}\`); },
        response() { throw new Error("with canary-cookie and \${process.env.DOCS_TOKEN}"); },
      },
      {
        name: "later",
        done() { setTimeout(() => { throw new Error("late: canary-header \${process.env.PLAIN_NAME}"); }, 0); },
      },
    ],
  };`
    .replaceAll(
      '"with canary-cookie and ${process.env.DOCS_TOKEN}"',
      "`with canary-cookie and ${process.env.DOCS_TOKEN}`",
    )
    .replaceAll('"late: canary-header ${process.env.PLAIN_NAME}"', "`late: canary-header ${process.env.PLAIN_NAME}`");

function expectClean(output: { stdout: string; stderr: string }): void {
  const all = output.stdout + output.stderr;
  expect(all).not.toMatch(/canary/i);
  expect(all).not.toContain(Buffer.from("user:canary-basic").toString("base64"));
}

describe.each(["text", "json"])("OB-01 with --log-format %s at debug level", (format) => {
  test("a proxy in front of a server that fails, with plugins that log and throw", async () => {
    const upstream = await use(
      rawServer(async (connection) => {
        for await (const _ of connection.requests())
          connection.send("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}");
      }),
    );
    const cwd = folderWith({ "penstock.config.mjs": failing(upstream.url) });
    const cli = await use(startCli(["--log-level", "debug", "--log-format", format], { cwd, env }));
    const answer = await fetch(`${cli.url}/docs?token=canary-client-query`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        authorization: "Bearer canary-client",
        cookie: "a=b; token=canary-client-cookie",
      },
      body: '{"jsonrpc":"2.0","id":1,"method":"ping"}',
    });
    expect(await answer.text()).not.toMatch(/canary/);
    // The failure that nobody catches ends the proxy in order.
    expect(await within(cli.exited, "the exit")).toMatchObject({ code: 1 });
    const output = { stdout: cli.stdout(), stderr: cli.stderr() };
    expect(output.stderr).toMatch(/uncaughtException.*late: \[redacted\] \[redacted\]/);
    expect(output.stderr).toMatch(/with \[redacted\] and \[redacted\]/);
    expect(output.stderr).toMatch(/seen /);
    expectClean(output);
    if (format === "json")
      for (const line of (output.stdout + output.stderr).trim().split("\n"))
        expect(JSON.parse(line)).toMatchObject({
          time: expect.any(String),
          level: expect.any(String),
          message: expect.any(String),
        });
  });
});

// All commands load a configuration in one way; these two differ in how they tell what is wrong.
const commands = [
  ["check", "--json"],
  ["--port", "0", "--log-level", "debug"],
];

describe.each(commands.map((args) => [args.join(" "), args] as const))("OB-01 penstock %s", (_, args) => {
  const good = server("http://127.0.0.1:9");
  const cases: [string, string, unknown][] = [
    ["a wrong value", "a.json", { servers: { docs: good }, port: "canary-port-${DOCS_TOKEN}", tls: "canary-tls" }],
    ["an unknown key", "a.json", { servers: { docs: { ...good, token: "canary-unknown" } } }],
    ["headers that are none", "a.json", { servers: { docs: { ...good, headers: ["canary-list"] } } }],
    ["a password in the url", "a.json", { servers: { docs: { ...good, url: "http://u:canary-user@h/" } } }],
    ["a url that is none", "a.json", { servers: { docs: { ...good, url: "canary-${DOCS_TOKEN}" } } }],
    ["no JSON", "a.json", '{"servers":{"a":{"headers":{"x":canary}}}}'],
    ["no JavaScript", "a.mjs", 'export default { servers: { a: { headers: { x: "canary" "canary" } } } }'],
    ["code that throws", "a.mjs", "throw new Error(`no ${process.env.DOCS_TOKEN}`)"],
    [
      "code that throws later",
      "a.mjs",
      "setTimeout(() => { throw new Error(process.env.DOCS_TOKEN) }); await new Promise(() => setTimeout(() => {}, 5000));",
    ],
    [
      "a plugin that throws",
      "a.mjs",
      `export default { servers: { docs: ${JSON.stringify(good)} }, plugins: [{ name: "x", setup() { throw new Error("canary-header \${process.env.PLAIN_NAME}".replace("\${process.env.PLAIN_NAME}", process.env.PLAIN_NAME)); } }] }`,
    ],
  ];
  // A process for each takes its time: what the loader says is the same for both.
  const shown = args.includes("--json") ? cases : cases.filter(([what]) => /wrong|throws/.test(what));
  test.each(shown)("with %s says so without a secret", async (_, file, content) => {
    const cwd = folderWith({ [file]: content });
    const output = await runCli([...args, "--config", file], { cwd, env });
    expect(output.code).toBe(1);
    const json = args.includes("--json");
    expect(json ? JSON.parse(output.stdout).error.message : output.stderr).toMatch(/./);
    // A port may be shown: it is no place for a secret, but its text is known to be one.
    const shown = {
      stdout: output.stdout.replaceAll("canary-port-", ""),
      stderr: output.stderr.replaceAll("canary-port-", ""),
    };
    expectClean(shown);
  });
});

test.each([["check"], ["check", "--json"], ["routes", "--json"]])(
  "OB-01 penstock %s %s shows nothing of a valid configuration",
  async (...args) => {
    const cwd = folderWith({ "penstock.config.json": { servers: { docs: server("http://127.0.0.1:9") } } });
    const output = await runCli(args.filter(Boolean), { cwd, env });
    expect(output.code).toBe(0);
    expectClean(output);
  },
);

test("OB-01 penstock --mcp-json and --url show nothing either", async () => {
  const cwd = folderWith({ "mcp.json": { mcpServers: { docs: { ...server("http://127.0.0.1:9"), tls: undefined } } } });
  const cli = await use(
    startCli(["--mcp-json", join(cwd, "mcp.json"), "--port", "0", "--log-level", "debug"], { env }),
  );
  expectClean({ stdout: cli.stdout(), stderr: cli.stderr() });
  const other = await use(
    startCli(["--url", "http://127.0.0.1:9/s/canary0a1b2c3d4e5f6a7b8c9d?key=canary-q", "--port", "0"]),
  );
  expectClean({ stdout: other.stdout(), stderr: other.stderr() });
});

/** What a server can do wrong, each in its own words. */
const FAILURES: [string, string | undefined][] = [
  ["garbage", "HELLO canary-status\r\n\r\n"],
  ["header", "HTTP/1.1 200 OK\r\nx-canary-header : 1\r\n\r\n"],
  ["redirect", "HTTP/1.1 302 Found\r\nlocation: http://canary-location.example/?token=canary-location\r\n\r\n"],
  ["login", 'HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Bearer realm="canary-realm"\r\ncontent-length: 0\r\n\r\n'],
  ["html", "HTTP/1.1 500 canary-reason\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\n{}"],
  [
    "session",
    "HTTP/1.1 200 OK\r\nmcp-session-id: canary-session\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}",
  ],
  [
    "cut",
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\nzz canary-chunk\r\n",
  ],
  ["reset", undefined],
];

/** A client's request with a secret in every place that has room. The body is not one: at debug level it may be seen. */
const POST = (path: string) => {
  const body =
    '{"jsonrpc":"2.0","id":"canary-id","method":"tools/call","params":{"name":"echo","arguments":{"a":"bodysecret"},"_meta":{"b":"bodysecret"}}}'.replace(
      "canary-id",
      "1",
    );
  const headers = [
    "authorization: Bearer canary-client-bearer",
    "proxy-authorization: Basic Y2FuYXJ5OmNhbmFyeQ==",
    "x-api-key: canary-client-key",
    "cookie: sid=canary-client-cookie",
    "dpop: canary-client-proof",
    "mcp-session-id: canary-client-session",
    "last-event-id: canary-client-event",
    "user-agent: canary-client-agent",
    "x-own: canary-client-own",
    "referer: http://localhost/?t=canary-client-referer",
    "x-forwarded-for: canary-client-forwarded",
    "x-request-id: canary/not a plain id",
  ];
  return `POST ${path}?token=canary-client-query&plain=canary-client-plain HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\naccept: application/json, text/event-stream\r\n${headers.join("\r\n")}\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
};

describe("OB-01 a proxy before servers that fail", () => {
  /** A configuration with a secret in every place of every server. */
  async function failing() {
    const servers: Record<string, object> = {};
    for (const [name, answer] of FAILURES) {
      const upstream = await use(
        rawServer(async (connection) => {
          for await (const _ of connection.requests()) {
            if (answer === undefined) connection.reset();
            else connection.send(answer);
          }
        }),
      );
      servers[name] = server(upstream.url);
    }
    const silent = await use(rawServer());
    servers.silent = { ...server(silent.url), timeouts: { headers: 100, call: 100 } };
    servers.refused = server("http://127.0.0.1:9");
    const plain = await use(rawServer((connection) => void connection.send("HTTP/1.1 400 Bad Request\r\n\r\n")));
    servers.tls = server(plain.url.replace("http:", "https:"));
    servers.nowhere = server("http://nowhere.invalid");
    // This one is asked through a proxy of the environment, which refuses.
    const proxy = await use(
      rawServer(async (connection) => {
        for await (const _ of connection.requests())
          connection.send(
            "HTTP/1.1 407 canary-proxy\r\nproxy-authenticate: Basic realm=canary\r\ncontent-length: 0\r\n\r\n",
          );
      }),
    );
    const HTTP_PROXY = `http://user:canary-proxy-password@127.0.0.1:${proxy.port}`;
    const cwd = folderWith({ "penstock.config.json": { servers, port: 0 } });
    return {
      names: Object.keys(servers),
      options: { cwd, env: { ...env, HTTP_PROXY, PENSTOCK_PROBE_TIMEOUT: "200" } },
    };
  }

  test.each(["text", "json"])("log (%s, debug), error bodies, health and readiness show none of it", async (format) => {
    const { names, options } = await failing();
    const cli = await use(startCli(["--log-level", "debug", "--log-format", format], options));
    const said: string[] = [];
    for (const name of names) {
      const paths = [`/${name}/mcp`, `/${name}/mcp/`, `/${name}/canary-path`];
      for (const request of [...paths.map(POST), POST(paths[0]!).replace(/^POST/, "PUT")]) {
        const client = await use(rawClient(cli.port));
        client.send(request.replace("host:", "connection: close\r\nhost:"));
        await within(client.ended, `the answer of ${name}`);
        said.push(client.received);
      }
      const left = await use(rawClient(cli.port));
      left.send(
        POST(`/${name}/mcp`)
          .replace("POST", "DELETE")
          .replace(/content-length: \d+/, "content-length: 0"),
      );
      left.reset();
    }
    for (const path of ["/health", "/healthz", "/readyz", "/canary-nowhere?token=canary"]) {
      const response = await fetch(`${cli.url}${path}`, { headers: { authorization: "Bearer canary-of-health" } });
      said.push(await response.text());
    }
    await cli.close();
    const log = cli.stdout() + cli.stderr();
    // The session of a server, and what it says in a body of its own, are its client's.
    const heard = said.join("\n").replaceAll("mcp-session-id: canary-session", "");
    expect((heard.match(/.*canary.*/gi) ?? []).join()).toBe("");
    expect(heard).not.toContain("bodysecret");
    expect((log.match(/.*canary.*/gi) ?? []).join()).toBe("");
    for (const code of ["UNREACHABLE", "INVALID", "REDIRECT", "UNAUTHORIZED", "TIMEOUT", "BROKE", "TLS"])
      expect(log).toContain(`UPSTREAM_${code}`);
    const above = log.split("\n").filter((line) => !/^\[debug\]|"level":"debug"/.test(line));
    expect(above.filter((line) => line.includes("bodysecret"))).toEqual([]);
    expect(above.length).toBeGreaterThan(names.length);
  });

  test.each([[[]], [["--json"]]])("doctor %j shows none of it", async (more) => {
    const { options } = await failing();
    const output = await runCli(["doctor", "--log-level", "debug", ...more], options);
    expect(output.code).toBe(1);
    expect((output.stdout + output.stderr).match(/.*canary.*/gi) ?? []).toEqual([]);
    expect(output.stdout).toContain("garbage");
  });
});
