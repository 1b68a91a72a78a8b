import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import type { TLSSocket } from "node:tls";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { connectHttp1 } from "../../core/upstream/http1/client.ts";
import { createDial } from "../../core/upstream/http1/connect.ts";
import { closeable, listen, stop } from "../_harness/loopback.ts";
import { rawClient, rawServer, within } from "../_harness/peers.ts";
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

test("every connection but the first takes up the TLS session of the one before", async () => {
  const reused: boolean[] = [];
  const server = createServer({ key: pem("server.key"), cert: pem("server.crt") }, ({ socket }, response) => {
    reused.push((socket as TLSSocket).isSessionReused());
    response.setHeader("connection", "close").end();
  });
  const url = new URL(`https://127.0.0.1:${await listen(server)}`);
  await use(closeable({ close: () => stop(server) }));
  const client = connectHttp1("one", url, 1000, { ca: pem("ca.crt") });
  for (let i = 0; i < 3; i++) {
    const request = { method: "GET", path: "/", headers: [], body: null, headersTimeout: 1000 };
    const { source } = await client.send(request, () => {});
    await new Promise<void>((end, fail) => source.start({ data() {}, end: () => end(), fail }));
  }
  await client.close();
  expect(reused).toEqual([false, true, true]);
});

describe("a tunnel through an HTTP proxy", () => {
  /** @param answer to CONNECT; with a 200 it then relays */
  async function proxyFor(port: number, answer: string) {
    const proxy = await use(
      rawServer(async (connection) => {
        await connection.receive(/\r\n\r\n/);
        connection.send(answer);
        if (!answer.includes(" 200 ")) return;
        const onward = connect(port, "127.0.0.1");
        onward.pipe(connection.socket).pipe(onward);
        for (const end of [onward, connection.socket])
          end.on("error", () => (onward.destroy(), connection.socket.destroy()));
        connection.socket.on("close", () => onward.destroy());
      }),
    );
    return { proxy, via: { url: new URL(proxy.url), authorization: "proxy-authorization: Basic YTpi\r\n" } };
  }
  const dialed = (dial: ReturnType<typeof createDial>) =>
    within(
      new Promise<Socket>(
        (resolve, reject) => void dial((error, socket) => (socket ? resolve(socket) : reject(error))),
      ),
      "a connection",
    );

  test("the server's certificate is checked, its name asked for, and the proxy's credentials stay with the proxy", async () => {
    const { port } = await tlsServer();
    const { proxy, via } = await proxyFor(port, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
    const url = new URL(`https://127.0.0.1:${port}`);
    const socket = (await dialed(createDial(url, 1000, { ca: pem("ca.crt") }, via))) as TLSSocket;
    expect(socket.authorized).toBe(true);
    socket.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    expect(String(await new Promise((resolve) => socket.once("data", resolve)))).toMatch(/^HTTP\/1\.1 200 OK/);
    socket.destroy();
    expect(proxy.connections[0]!.received).toMatch(
      new RegExp(
        `^CONNECT 127\\.0\\.0\\.1:${port} HTTP/1\\.1\r\nhost: 127\\.0\\.0\\.1:${port}\r\nproxy-authorization: Basic YTpi\r\n\r\n`,
      ),
    );
    await expect(dialed(createDial(url, 1000, {}, via))).rejects.toMatchObject({
      code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    });
    const named = new URL(`https://localhost:${port}`);
    await expect(dialed(createDial(named, 1000, { ca: pem("ca.crt") }, via))).rejects.toMatchObject({
      code: "ERR_TLS_CERT_ALTNAME_INVALID",
    });
  });

  test.each([
    ["a refusal", "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n", "407"],
    ["something else", "SSH-2.0-OpenSSH_9.9\r\n", "not HTTP"],
    ["bytes in the tunnel", "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "spoke"],
  ])("%s of the proxy is UPSTREAM_UNREACHABLE, and the log has the reason", async (_name, answer, reason) => {
    const { proxy, via } = await proxyFor(1, answer);
    const failed = await dialed(createDial(new URL("https://server.test"), 1000, {}, via)).catch((error) => error);
    expect([failed.code, failed.toLog()]).toEqual(["UPSTREAM_UNREACHABLE", expect.stringContaining(reason)]);
    await within(proxy.connections[0]!.closed, "the end of the connection");
  });

  test("the limit covers a proxy that says nothing", async () => {
    const silent = await use(rawServer());
    const via = { url: new URL(silent.url), authorization: "" };
    const failed = await dialed(createDial(new URL("https://server.test"), 60, {}, via)).catch((error) => error);
    expect(failed.name).toBe("ConnectTimeout");
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
