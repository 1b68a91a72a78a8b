/** What of a client's credentials reaches servers: nothing, but what one of them asked for. */
import { configModule } from "../_harness/child-config.ts";
import { apiKeys, byName, mounts, requestLog, standard } from "../_harness/plugins.ts";
import { startCli, startProxy } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { scripted } from "../_harness/scripted.ts";
import { SSE_HEAD, chunk, jsonAnswer } from "../_harness/wire.ts";
import { folderWith } from "../core/files.ts";
import { describe, expect, test } from "vitest";
import { asking } from "./asking.ts";

const use = testScope();
const KEY = "key-of-anna-0123456789";
const keys = { anna: KEY };
const METHODS = ["POST", "GET", "DELETE"];

/** Credentials, and what proxies in front tell each other; each with a value of its own. */
const SECRET_FIELDS = [
  "Authorization",
  "DPoP",
  "Cookie",
  "Proxy-Authorization",
  "X-API-Key",
  "Api-Key",
  "X-Auth-Token",
  "Forwarded",
  "X-Forwarded-For",
  "X-Forwarded-Host",
  "X-Forwarded-Port",
  "X-Forwarded-Proto",
  "X-Forwarded-Prefix",
  "X-Forwarded-User",
  "X-Real-IP",
  "X-Original-URL",
  "X-Rewrite-URL",
  "Referer",
  // To servers behind CGI, `_` and `-` are the same.
  "X_API_Key",
  "x_forwarded_for",
];
const SENT = SECRET_FIELDS.map((name, index) => `${name}: secret-${index}-of-the-client`);
const SECRET = /secret-\d+-of-the-client|key-of-/;

const answer = ({ method }: { method: string }) => (method === "GET" ? SSE_HEAD + chunk("") : jsonAnswer("{}"));

/** Three servers, of which the second has asked for `Authorization`. */
async function three() {
  const servers = await Promise.all(["one", "two", "three"].map(() => scripted(answer)));
  for (const { server } of servers) await use(server);
  const [one, two, other] = servers.map(({ server }) => ({ url: `${server.url}/mcp` }));
  return {
    servers: { one, two: { ...two, auth: "passthrough" }, three: other },
    /** The header lines of every request, by server. */
    seen: () =>
      servers.map(({ requests }) =>
        requests.map(({ rawHeaders }) => rawHeaders.map((field) => field.join(": ")).join("\n")),
      ),
  };
}

async function everywhere(port: number, fields: readonly string[]): Promise<void> {
  const ask = asking(use, port);
  for (const server of ["one", "two", "three"])
    for (const method of METHODS) expect((await ask({ method, target: `/${server}/mcp`, fields })).status).toBe(200);
}

async function start(servers: object, plugins: object[]) {
  const { url } = await use(startProxy({ servers, plugins: [mounts(), ...plugins] }));
  return Number(new URL(url).port);
}

describe("AU-01 a client's credentials", () => {
  test("reach no server, but `Authorization` and its proof where one asked for it, and there nothing else", async () => {
    const { servers, seen } = await three();
    const cwd = folderWith({
      "penstock.config.mjs": configModule({
        servers,
        port: 0,
        plugins: [standard(), apiKeys({ keys, headers: ["X-Own-Key"] })],
      }),
    });
    const cli = await use(startCli(["--log-level", "debug"], { cwd }));
    await everywhere(cli.port, [...SENT, `X-Own-Key: ${KEY}`, "X-Other: passes"]);
    const [one, two, other] = seen();
    for (const fields of [one!, two!, other!]) expect(fields).toHaveLength(METHODS.length);
    for (const fields of [...one!, ...other!]) {
      expect(fields).not.toMatch(SECRET);
      expect(fields).toMatch(/^x-other: passes$/im);
    }
    for (const fields of two!) {
      expect(fields.match(/.*secret-\d+-of-the-client.*/g)?.sort()).toEqual([
        "authorization: secret-0-of-the-client",
        "dpop: secret-1-of-the-client",
      ]);
      expect(fields).not.toContain(KEY);
    }
    // Nor do they reach the log, which was told to say everything.
    const log = () => cli.stdout() + cli.stderr();
    await expect.poll(() => log().match(/ anna 200 /g)?.length, { timeout: 2000 }).toBe(3 * METHODS.length);
    expect(log()).not.toMatch(SECRET);
  });

  test("stay here where a plugin has read them, with passthrough too", async () => {
    const { servers, seen } = await three();
    await everywhere(await start(servers, [apiKeys({ keys }), requestLog()]), [`Authorization: Bearer ${KEY}`]);
    for (const fields of seen().flat()) expect(fields).not.toMatch(/authorization|key-of-/i);
  });

  test("stay here in any field that a plugin reads them from, whatever its name and its spelling", async () => {
    const { servers, seen } = await three();
    await everywhere(await start(servers, [byName()]), ["X-Name: anna", "x_name: anna", "X-Other: 1"]);
    for (const fields of seen().flat()) {
      expect(fields).not.toMatch(/anna/);
      expect(fields).toMatch(/^x-other: 1$/m);
    }
  });

  test("cannot be made to pass by naming a field in `Connection`, nor can a configured field be removed so", async () => {
    const { servers, seen } = await three();
    const own = Object.entries(servers).map(([name, server]) => [
      name,
      { ...server, headers: { "x-own": "of-the-proxy" } },
    ]);
    const port = await start(Object.fromEntries(own), []);
    await everywhere(port, ["Connection: x-own, x-api-key", "X-API-Key: secret-1-of-the-client", "X-Own: mine"]);
    for (const fields of seen().flat()) {
      expect(fields).not.toMatch(SECRET);
      expect(fields.match(/^x-own: .*$/gim)).toEqual(["x-own: of-the-proxy"]);
    }
  });

  test("take the place of none that is configured for a server", async () => {
    const { servers, seen } = await three();
    const headers = { Authorization: "Bearer of-the-proxy" };
    const port = await start({ ...servers, one: { ...servers.one, headers }, two: { ...servers.two, headers } }, []);
    await everywhere(port, ["Authorization: Bearer secret-1-of-the-client"]);
    const [one, two, other] = seen().map((requests) =>
      requests.map((fields) => fields.match(/^authorization: .*$/gim)),
    );
    for (const lines of [...one!, ...two!]) expect(lines).toEqual(["authorization: Bearer of-the-proxy"]);
    for (const lines of other!) expect(lines).toBeNull();
  });
});
