/** What the fetch for strangers' URLs does where nothing is refused; what it refuses: `test/faults/auth-outbound.test.ts`. */
import type { Server as TcpServer } from "node:net";
import { type Server, createServer } from "node:https";
import { beforeAll, describe, expect, test } from "vitest";
import { createRemoteJWKSet, customFetch as joseFetch } from "jose";
import { customFetch, discoveryRequest, processDiscoveryResponse } from "oauth4webapi";
import { isOwnAddress, isPublicAddress } from "../../core/outbound/address-rules.ts";
import { type GuardedFetchOptions, createGuardedFetch, guardedFetch } from "../../core/outbound/guarded-fetch.ts";
import { dialAddress } from "../../core/outbound/one-request.ts";
import { type Certificates, certificates } from "../_harness/certificates.ts";
import { closeable, listen, stop } from "../_harness/loopback.ts";
import { testScope } from "../_harness/scope.ts";

const use = testScope();
let tls: Certificates;
beforeAll(() => (tls = certificates("DNS:as.example.test")));

/** A server at a public address, as far as the fetch knows. */
async function publicServer(handler: Parameters<typeof createServer>[1], options: GuardedFetchOptions = {}) {
  const server: Server = createServer({ cert: tls.cert, key: tls.key }, handler);
  const port = await listen(server as TcpServer);
  await use(closeable({ close: () => stop(server as TcpServer) }));
  const dialled: string[] = [];
  const given: unknown[] = [];
  const lookups = [["93.184.215.14"], ["10.0.0.1"]];
  const fetch = guardedFetch({ lookup: async () => lookups.shift()!, ...options }, (_url, timeout, ca, address) => {
    dialled.push(address);
    given.push(ca);
    return dialAddress(new URL(`https://as.example.test:${port}`), timeout, { ca: tls.ca }, "127.0.0.1");
  });
  return { fetch, dialled, given };
}

const JSON_TYPE = { "content-type": "application/json" };

describe("a public server", () => {
  test("is dialled at the address that was checked, and its answer is that of fetch", async () => {
    const { fetch, dialled, given } = await publicServer(
      ({ headers, url, method }, response) =>
        void response
          .writeHead(200, { ...JSON_TYPE, "set-cookie": "a=b", etag: "x" })
          .end(JSON.stringify({ headers, url, method })),
      { tls: { rejectUnauthorized: false } },
    );
    const headers = { cookie: "a=b", "accept-encoding": "gzip", authorization: "Basic x" };
    const answer = await fetch("https://as.example.test/token?a#b", {
      method: "POST",
      headers,
      body: new URLSearchParams({ a: "é" }),
    });
    expect(dialled).toEqual(["93.184.215.14"]);
    // What was said about TLS is for the operator's own servers.
    expect(given).toEqual([undefined]);
    expect(answer.headers.get("etag")).toBe("x");
    expect(answer.headers.get("set-cookie")).toBeNull();
    const seen = (await answer.json()) as { headers: Record<string, string> };
    expect(seen).toMatchObject({
      method: "POST",
      url: "/token?a",
      headers: {
        host: "as.example.test",
        accept: "application/json",
        "accept-encoding": "identity",
        authorization: "Basic x",
        "content-type": "application/x-www-form-urlencoded;charset=UTF-8",
        "content-length": "8",
      },
    });
    expect(seen.headers.cookie).toBeUndefined();
  });

  test("whose name means something else after a redirect is left alone", async () => {
    const { fetch, dialled } = await publicServer(
      (_request, response) => void response.writeHead(302, { location: "/next" }).end(),
      { maxRedirects: 3 },
    );
    await expect(fetch("https://as.example.test/")).rejects.toMatchObject({ code: "OUTBOUND_FAILED" });
    expect(dialled).toEqual(["93.184.215.14"]);
  });

  test.each<[string, number, Record<string, string>, string, string]>([
    ["an error in JSON is read", 400, JSON_TYPE, '{"error":"x"}', '{"error":"x"}'],
    ["a page that says there is nothing is a status", 404, { "content-type": "text/html" }, "<p>".repeat(200_000), ""],
    ["a packed one too", 404, { ...JSON_TYPE, "content-encoding": "gzip" }, "\u001f", ""],
    ["a form, after a POST", 200, { "content-type": "application/x-www-form-urlencoded; charset=utf-8" }, "a=b", "a=b"],
    ["nothing, of any type", 200, { "content-type": "text/plain", "content-length": "0" }, "", ""],
    ["204", 204, {}, "", ""],
    ["a JSON type of its own", 200, { "content-type": "application/jwk-set+json" }, "{}", "{}"],
  ])("%s", async (_name, status, headers, body, expected) => {
    const { fetch } = await publicServer((_request, response) => void response.writeHead(status, headers).end(body));
    const answer = await fetch("https://as.example.test/", { method: "POST" });
    expect([answer.status, await answer.text()]).toEqual([status, expected]);
  });

  test("is left when the caller's signal says so, with its reason", async () => {
    const controller = new AbortController();
    let isClosed!: () => void;
    const closed = new Promise<void>((resolve) => (isClosed = resolve));
    const { fetch } = await publicServer((request) => {
      request.socket.on("close", isClosed);
      controller.abort(new Error("mine"));
    });
    await expect(fetch("https://as.example.test/", { signal: controller.signal })).rejects.toThrow("mine");
    await closed;
    await expect(fetch("https://as.example.test/", { signal: AbortSignal.abort("before") })).rejects.toBe("before");
  });
});

test("at most 64 fetches of strangers' URLs are under way, and those of trusted ones do not count", async () => {
  let answer!: (addresses: string[]) => void;
  const addresses = new Promise<string[]>((resolve) => (answer = resolve));
  const fetch = createGuardedFetch({ lookup: () => addresses, trusted: ["own.test"] });
  const failures = (count: number, url: string) =>
    Array.from({ length: count }, () =>
      fetch(url).catch((error: { details: { detail: string } }) => error.details.detail),
    );
  const waiting = failures(64, "https://stranger.test/");
  const trusted = failures(1, "https://own.test/");
  expect(await failures(1, "https://stranger.test/")[0]).toContain("64 others");
  answer(["0.0.0.0"]);
  for (const detail of await Promise.all([...waiting, ...trusted])) expect(detail).toContain("0.0.0.0");
  expect(await failures(1, "https://stranger.test/")[0]).toContain("0.0.0.0");
});

test("it fits oauth4webapi and jose", async () => {
  const issuer = new URL("https://as.example.test");
  const { fetch } = await publicServer(
    ({ url }, response) =>
      void response
        .writeHead(200, JSON_TYPE)
        .end(JSON.stringify(url === "/jwks" ? { keys: [] } : { issuer: issuer.origin, jwks_uri: "x" })),
    { lookup: async () => ["93.184.215.14"] },
  );
  const answer = await discoveryRequest(issuer, { algorithm: "oauth2", [customFetch]: fetch });
  expect(await processDiscoveryResponse(issuer, answer)).toMatchObject({ issuer: issuer.origin });
  const keys = createRemoteJWKSet(new URL("/jwks", issuer), { [joseFetch]: fetch });
  await keys.reload();
  expect(keys.jwks()).toEqual({ keys: [] });
});

describe("addresses", () => {
  test.each([
    "1.1.1.1",
    "93.184.215.14",
    "172.15.255.255",
    "172.32.0.1",
    "100.63.255.255",
    "100.128.0.1",
    "2606:4700::1",
    "2a00::1",
  ])("%s is public", (address) => expect(isPublicAddress(address)).toBe(true));
  test.each(["", "example.com", "127.1", "[::1]", "1.1.1.1%lo", "2a00::1%eth0", "4000::1"])("%j is not", (address) =>
    expect(isPublicAddress(address)).toBe(false),
  );
  test.each([
    ["127.0.0.1", true],
    ["10.0.0.1", true],
    ["fd00::1", true],
    ["64:ff9b::a00:1", true],
    ["1.1.1.1", true],
    ["169.254.169.254", false],
    ["168.63.129.16", false],
    ["fe80::1", false],
    ["0.0.0.0", false],
    ["::", false],
    ["224.0.0.1", false],
    ["255.255.255.255", false],
    ["2002:a00:1::", false],
  ])("%s may be the operator's own: %s", (address, expected) => expect(isOwnAddress(address)).toBe(expected));
});

describe("trusted", () => {
  const under = async (entry: string, url: string) => {
    const fetch = createGuardedFetch({ trusted: [entry], lookup: async () => ["10.0.0.1", "0.0.0.0"] });
    const error = (await fetch(url).catch((failed: unknown) => failed)) as { details: { detail: string } };
    return error.details.detail.includes("never dialled");
  };
  test.each([
    ["https://as.test", "https://as.test/x", true],
    ["https://as.test/realms/one", "https://as.test/other", true],
    ["https://as.test", "https://as.test:8443/", false],
    ["https://as.test:8443", "https://as.test:8443/", true],
    ["as.test", "https://as.test:8443/", true],
    ["AS.test.", "https://as.test/", true],
    ["as.test", "https://as.test./", true],
    ["as.test:443", "https://as.test/", true],
    ["as.test:443", "https://as.test:8443/", false],
    ["as.test", "https://evil.as.test/", false],
    ["as.test", "https://as.test.evil/", false],
  ])("%s covers %s: %s", async (entry, url, expected) => expect(await under(entry, url)).toBe(expected));

  test.each([
    "",
    "*",
    "*.example.com",
    "as.test/path",
    "user@as.test",
    "ftp://as.test",
    "https://",
    "a b",
    "as.test:99999",
  ])("%j is neither an origin nor a host", (entry) =>
    expect(() => createGuardedFetch({ trusted: [entry] })).toThrow(/trusted: /),
  );
});
