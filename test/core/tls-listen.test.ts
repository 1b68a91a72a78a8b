/** Clients reach the proxy over TLS. Certificates come from openssl, as users make them. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createPenstock } from "mcp-penstock";
import { closeable } from "../_harness/loopback.ts";
import { runCli, startCli } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { startLegacyServer } from "../_harness/servers.ts";

const use = testScope();
const url = "http://127.0.0.1:9/mcp";
let folder: string;
const at = (name: string) => join(folder, name);
const pem = (name: string) => readFileSync(at(name), "utf8");

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "tls-listen-"));
  const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: folder, stdio: "pipe" });
  const ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  for (const name of ["one", "two"])
    openssl(
      "req",
      "-x509",
      ...ec,
      "-keyout",
      `${name}.key`,
      "-out",
      `${name}.crt`,
      "-days",
      "2",
      "-subj",
      "/CN=one",
      "-addext",
      "subjectAltName=IP:127.0.0.1",
    );
  openssl("pkcs8", "-topk8", "-in", "one.key", "-out", "locked.key", "-passout", "pass:canary-pass");
  writeFileSync(at("junk.pem"), "no PEM at all");
});
afterAll(() => rmSync(folder, { recursive: true }));

/** One request, with the proxy's certificate as the only one that is trusted. */
function ask(target: string, ca: string, body?: string): Promise<{ status: number; version: string; text: string }> {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json", accept: "application/json, text/event-stream" };
    const call = request(
      target,
      { ca, agent: false, method: body ? "POST" : "GET", headers: body ? headers : {} },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
        response.on("end", () => resolve({ status: response.statusCode!, version: response.httpVersion, text }));
        response.on("error", reject);
      },
    );
    call.on("error", reject);
    call.end(body);
  });
}

const initialize = JSON.stringify({
  jsonrpc: "2.0",
  id: 1,
  method: "initialize",
  params: { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "t", version: "1" } },
});

describe("with --tls-cert and --tls-key", () => {
  test("the printed https URL answers, over HTTP/1.1 only, and not in the clear", async () => {
    const server = await use(startLegacyServer());
    const cli = await use(
      startCli(["--url", server.url, "--port", "0", "--tls-cert", at("one.crt"), "--tls-key", at("one.key")]),
    );
    expect(cli.url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/);
    expect(await ask(`${cli.url}/mcp`, pem("one.crt"), initialize)).toMatchObject({
      status: 200,
      version: "1.1",
      text: expect.stringContaining("serverInfo"),
    });
    await expect(ask(`${cli.url}/mcp`, pem("two.crt"))).rejects.toThrow(/self-signed/);
    expect(await inTheClear(cli.port)).not.toContain("HTTP/1.1 2");
  });

  test.each<[string, string[], RegExp]>([
    [
      "the key of another certificate",
      ["one.crt", "two.key"],
      /^penstock: --tls-key: this is not the key of the certificate in --tls-cert\. Give the two that belong together\.\n$/,
    ],
    [
      "no certificate in the file",
      ["junk.pem", "one.key"],
      /^penstock: --tls-cert: it holds no certificate in PEM format .*\n$/,
    ],
    [
      "no key in the file",
      ["one.crt", "junk.pem"],
      /^penstock: --tls-key: it holds no private key in PEM format .*\n$/,
    ],
    [
      "a key that is locked",
      ["one.crt", "locked.key"],
      /^penstock: --tls-key: the key cannot be decrypted\. Give its passphrase as tls\.passphrase in the configuration\.\n$/,
    ],
    [
      "a missing file",
      ["none.crt", "one.key"],
      /^penstock: --tls-cert: the file .*none\.crt cannot be read \(ENOENT\)\. Name an existing one\.\n$/,
    ],
  ])("%s: one line, exit code 1", async (_, [cert, key], line) => {
    const { code, stdout, stderr } = await runCli([
      "--url",
      url,
      "--port",
      "0",
      "--tls-cert",
      at(cert!),
      "--tls-key",
      at(key!),
    ]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(line);
  });

  test("one without the other", async () => {
    expect((await runCli(["--url", url, "--tls-cert", at("one.crt")])).stderr).toBe(
      "penstock: --tls-cert needs --tls-key beside it.\n",
    );
    expect((await runCli(["--url", url, "--tls-key", at("one.key")])).stderr).toBe(
      "penstock: --tls-key needs --tls-cert beside it.\n",
    );
  });
});

describe("with tls in the configuration", () => {
  const config = (tls: object) => {
    writeFileSync(at("penstock.config.json"), JSON.stringify({ servers: { a: { url } }, port: 0, tls }));
    return ["--config", at("penstock.config.json")];
  };

  test("files are relative to it, and a locked key is opened with a variable", async () => {
    const args = config({ cert: "one.crt", key: "locked.key", passphrase: "${TLS_PASS}" });
    const cli = await use(startCli(args, { env: { TLS_PASS: "canary-pass" } }));
    expect((await ask(`${cli.url}/nothing`, pem("one.crt"))).status).toBe(404);
    expect((await runCli(["routes", ...args], { env: { TLS_PASS: "canary-pass" } })).stdout).toContain(
      "https://127.0.0.1:0/a/mcp",
    );
  });

  test("mistakes are told with their place, by check too, and never with a passphrase", async () => {
    const wrong = await runCli([
      "check",
      ...config({ cert: "one.crt", key: "locked.key", passphrase: "wrong-canary" }),
    ]);
    expect(wrong).toMatchObject({
      code: 1,
      stdout: "",
      stderr: expect.stringMatching(/^penstock: tls\.key: the key cannot be decrypted\..*\n$/),
    });
    expect(wrong.stderr).not.toContain("canary");
    expect((await runCli(["check", ...config({ cert: "one.crt" })])).stderr).toContain(
      "tls.key: it is missing; allowed is a string.",
    );
    expect((await runCli(["check", ...config({ cert: "one.crt", key: "one.key", ca: "x" })])).stderr).toContain(
      "tls.ca: unknown key. Allowed are cert, key, passphrase.",
    );
  });
});

test("the library takes PEM text, and refuses what does not fit before it listens", async () => {
  const penstock = createPenstock({ servers: { a: { url, path: "/a" } } });
  await use(closeable({ close: () => penstock.close() }));
  await expect(penstock.serve({ port: 0, tls: { cert: pem("one.crt"), key: pem("two.key") } })).rejects.toMatchObject({
    code: "BAD_CONFIG",
  });
  const server = await use(
    penstock.serve({ port: 0, tls: { cert: pem("one.crt"), key: pem("one.key") } }).then(closeable),
  );
  expect((await ask(`${server.url}/nothing`, pem("one.crt"))).status).toBe(404);
});

/** What a client gets that speaks no TLS. */
function inTheClear(port: number): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    const socket = connect(port, "127.0.0.1", () => socket.write("GET /mcp HTTP/1.1\r\nhost: x\r\n\r\n"));
    socket.on("data", (chunk) => (text += String(chunk)));
    socket.on("error", () => {});
    socket.on("close", () => resolve(text));
  });
}
