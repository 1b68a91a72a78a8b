import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import type { TLSSocket } from "node:tls";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { closeable, listen, stop } from "../_harness/loopback.ts";
import { rawClient, rawServer } from "../_harness/peers.ts";
import { runCli, startCli } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { call, front, post } from "../_harness/wire.ts";

const use = testScope();
let folder: string;
const pem = (name: string) => readFileSync(join(folder, name), "utf8");

/** Two authorities: `ca` signs the server and the client, `other` signs nobody. */
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "tls-"));
  const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: folder, stdio: "pipe" });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  for (const name of ["ca", "other"])
    openssl(
      "req",
      "-x509",
      ...key,
      "-keyout",
      `${name}.key`,
      "-out",
      `${name}.crt`,
      "-days",
      "2",
      "-subj",
      `/CN=${name}`,
    );
  writeFileSync(join(folder, "names"), "subjectAltName=IP:127.0.0.1");
  for (const name of ["server", "client"]) {
    openssl("req", ...key, "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${name}`);
    openssl(
      "x509",
      "-req",
      "-in",
      `${name}.csr`,
      "-CA",
      "ca.crt",
      "-CAkey",
      "ca.key",
      "-CAcreateserial",
      "-out",
      `${name}.crt`,
      "-days",
      "2",
      "-extfile",
      "names",
    );
  }
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A TLS server that answers with the name on the client's certificate. */
async function tlsServer({ mutual = false } = {}) {
  const options = {
    key: pem("server.key"),
    cert: pem("server.crt"),
    ...(mutual && { ca: pem("ca.crt"), requestCert: true }),
  };
  const server = createServer(options, ({ socket }, response) => {
    const { subject } = (socket as TLSSocket).getPeerCertificate() ?? {};
    response.end(JSON.stringify({ client: subject?.CN ?? null }));
  });
  const port = await listen(server);
  return use(closeable({ port, url: `https://127.0.0.1:${port}`, close: () => stop(server) }));
}

async function ask(url: string, tls?: object) {
  const client = await use(rawClient((await use(front(url, [], { tls }))).port));
  client.send(post(call('"t"')));
  const { status, body } = await client.receiveResponse();
  return [status, JSON.parse(body)];
}

const refused = [502, { id: "t", error: { data: { code: "UPSTREAM_TLS" } } }];

describe("a server behind TLS", () => {
  test("is reached with its own authority, and shown a client certificate", async () => {
    const { url } = await tlsServer({ mutual: true });
    const client = { cert: pem("client.crt"), key: pem("client.key") };
    expect(await ask(url, { ca: pem("ca.crt"), ...client })).toEqual([200, { client: "client" }]);
    expect(await ask(url, { ca: [pem("other.crt"), pem("ca.crt")], ...client })).toEqual([200, { client: "client" }]);
    expect(await ask(url, { rejectUnauthorized: false, ...client })).toEqual([200, { client: "client" }]);
  });

  // With TLS 1.3 the server refuses after the client's handshake, when the request is out already.
  test("without a client certificate, where it asks for one, is UPSTREAM_TLS", async () => {
    const { url } = await tlsServer({ mutual: true });
    expect(await ask(url, { ca: pem("ca.crt") })).toMatchObject(refused);
  });

  test("an authority that is unknown, or another one, is UPSTREAM_TLS", async () => {
    const { url } = await tlsServer();
    expect(await ask(url)).toMatchObject(refused);
    expect(await ask(url, { ca: pem("other.crt") })).toMatchObject(refused);
  });

  test("a certificate for another name is UPSTREAM_TLS", async () => {
    const { port } = await tlsServer();
    expect(await ask(`https://localhost:${port}`, { ca: pem("ca.crt") })).toMatchObject(refused);
  });

  test("a server that speaks no TLS is UPSTREAM_TLS", async () => {
    const server = await use(rawServer((connection) => void connection.send("HTTP/1.1 400 Bad Request\r\n\r\n")));
    expect(await ask(server.url.replace("http:", "https:"))).toMatchObject(refused);
  });
});

describe("files in a configuration", () => {
  const config = (url: string, ca: string) => {
    const file = join(folder, "penstock.config.json");
    const tls = { ca, cert: "client.crt", key: "client.key" };
    writeFileSync(file, JSON.stringify({ servers: { one: { url, tls } }, port: 0 }));
    return file;
  };

  test("are read relative to it", async () => {
    const { url } = await tlsServer({ mutual: true });
    const cli = await use(startCli(["--config", config(url, "ca.crt")]));
    const answer = await fetch(`${cli.url}/mcp`, {
      method: "POST",
      body: call(),
      headers: { "content-type": "application/json" },
    });
    expect([answer.status, await answer.json()]).toEqual([200, { client: "client" }]);
  });

  test("that are missing stop the start and are named", async () => {
    const { code, stderr } = await runCli(["--config", config("https://127.0.0.1:1", "none.crt")]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/servers\.one\.tls\.ca.*none\.crt.*ENOENT/);
  });
});
