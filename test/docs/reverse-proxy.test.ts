/** What the README gives to operators of reverse proxies is put in front of a Penstock. */
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { request } from "node:http";
import { connect } from "node:net";
import { createPenstock } from "mcp-penstock";
import { standard } from "mcp-penstock/plugins/standard";
import { expect, test } from "vitest";
import { closeable, deadPort } from "../_harness/loopback.ts";
import { within } from "../_harness/peers.ts";
import { testScope } from "../_harness/scope.ts";
import { scripted } from "../_harness/scripted.ts";
import { jsonAnswer } from "../_harness/wire.ts";

const use = testScope();
const readme = readFileSync("README.md", "utf8");
const block = (label: string) => new RegExp(`^\`\`\`\\w+ ${label}\\n([^]*?)^\`\`\`$`, "m").exec(readme)![1]!;
const BASE = "https://example.com/team";
const WELL_KNOWN = "/.well-known/oauth-protected-resource";

/** A proxy whose public URL has a path, with a server that checks tokens itself. */
async function penstock() {
  const upstream = await scripted(({ target }) =>
    target.startsWith("/.well-known/")
      ? jsonAnswer(`{"resource":"${upstream.server.url}/mcp","authorization_servers":["https://as.example.com"]}`)
      : jsonAnswer("{}", "401 Unauthorized", "www-authenticate: Bearer\r\n"),
  );
  await use(upstream.server);
  const server = await createPenstock({
    publicUrl: BASE,
    servers: { docs: { url: `${upstream.server.url}/mcp`, auth: "passthrough" }, plain: { url: "http://127.0.0.1:9" } },
    plugins: standard(),
  }).serve({ port: 0 });
  return use(closeable({ port: server.port, close: () => server.close() }));
}

const accepts = (port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = connect(port, "127.0.0.1", () => (socket.destroy(), resolve(true)));
    socket.on("error", () => resolve(false));
  });

/** nginx with these locations. */
async function nginx(locations: string) {
  const folder = mkdtempSync(join(tmpdir(), "nginx-"));
  mkdirSync(join(folder, "logs"));
  const port = await deadPort();
  const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((of) => `${of}_temp_path ${folder}/${of};`);
  writeFileSync(
    join(folder, "nginx.conf"),
    `daemon off; master_process off; pid ${folder}/pid; error_log stderr; events {}
http { access_log off; ${paths.join(" ")} server { listen 127.0.0.1:${port}; server_name example.com; ${locations} } }`,
  );
  const child = spawn("nginx", ["-p", folder, "-c", "nginx.conf"], { stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
  const exited = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const listening = async () => {
    while (!(await accepts(port))) if (child.exitCode !== null) throw new Error(said);
  };
  await within(listening(), () => `nginx: ${said}`);
  return use(
    closeable({
      port,
      async close() {
        child.kill("SIGTERM");
        await exited;
        rmSync(folder, { recursive: true });
      },
    }),
  );
}

/** As a client that knows the proxy by its public name. */
function client(port: number) {
  return async (method: string, path: string, read: "all" | "event" = "all") => {
    return new Promise<{ status: number; challenge: string | undefined; text: string }>((resolve, reject) => {
      const headers = { host: "example.com", "content-type": "application/json", "x-forwarded-host": "evil.test" };
      const call = request({ port, host: "127.0.0.1", method, path, headers, agent: false }, (answer) => {
        let text = "";
        const end = () => {
          resolve({ status: answer.statusCode!, challenge: answer.headers["www-authenticate"], text });
          call.destroy();
        };
        answer.setEncoding("utf8").on("data", (piece: string) => {
          text += piece;
          if (read === "event" && text.includes("\n\n")) end();
        });
        answer.on("end", end);
      });
      call.on("error", reject);
      call.end(method === "POST" ? '{"jsonrpc":"2.0","id":1,"method":"tools/list"}' : undefined);
    });
  };
}

/** Without nginx its cases are skipped, which the summary counts. */
const isInstalled = (() => {
  try {
    execFileSync("nginx", ["-v"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();

test.skipIf(!isInstalled).each([
  ["as the README has it, which leaves the path", (conf: string) => conf],
  [
    "the same, with a second location that takes the path away",
    (conf: string) => {
      const body = conf.slice(conf.indexOf("{"));
      return `location ~ ^/\\.well-known/[^/]+/team/ ${body} location /team/ ${body.replace(":3333;", ":3333/;")}`;
    },
  ],
])("nginx, %s: clients are told the public URL, and events arrive one by one", async (_name, change) => {
  const { port } = await penstock();
  const front = await nginx(change(block("server.conf")).replaceAll("127.0.0.1:3333", `127.0.0.1:${port}`));
  const ask = client(front.port);
  expect(JSON.parse((await ask("GET", `${WELL_KNOWN}/team/docs/mcp`)).text)).toMatchObject({
    resource: `${BASE}/docs/mcp`,
  });
  expect((await ask("POST", "/team/docs/mcp")).challenge).toBe(
    `Bearer resource_metadata="https://example.com${WELL_KNOWN}/team/docs/mcp"`,
  );
  // The stream stays open: nothing of it may be held back.
  expect((await ask("GET", "/team/plain/sse", "event")).text).toContain("data: /team/plain/messages");
  expect((await ask("GET", "/docs/mcp")).text).not.toContain("jsonrpc");
});

test("the expression for Caddy is the one for nginx", () => {
  const [, expression] = /path_regexp (\S+)/.exec(block("Caddyfile"))!;
  expect(block("server.conf")).toContain(`location ~ ${expression} {`);
});
