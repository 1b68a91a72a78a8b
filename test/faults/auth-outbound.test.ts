/** What the proxy fetches because somebody else named it: never from where only this machine gets to. */
import { type Server as TcpServer, createServer as createTcpServer } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { beforeAll, describe, expect, test } from "vitest";
import { type Certificates, certificates } from "../_harness/certificates.ts";
import { closeable, deadPort, listen, stop } from "../_harness/loopback.ts";
import { type RawConnection, rawServer } from "../_harness/peers.ts";
import { fetching } from "../_harness/plugins.ts";
import { startProxy } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { scripted } from "../_harness/scripted.ts";
import { jsonAnswer } from "../_harness/wire.ts";
import { type Asked, asking } from "./asking.ts";

const use = testScope();
const servers = { docs: { url: "http://127.0.0.1:9/mcp" } };
/** What a client is told, whatever the reason is. */
const REFUSED = {
  code: -32603,
  message:
    "What a login needs could not be fetched from where it should be, or was refused. The log of the proxy has the cause.",
  data: { code: "OUTBOUND_FAILED" },
};

let tls: Certificates;
beforeAll(() => (tls = certificates("DNS:as.example.test,DNS:localhost")));

type Options = Parameters<typeof fetching>[0];

/** A proxy that fetches what a request names. */
async function fetcher(options: Options = {}) {
  const { url } = await use(startProxy({ servers, plugins: [fetching({ timeout: 2000, ...options })] }));
  const ask = asking(use, Number(new URL(url).port));
  const read = async (asked: Asked) => JSON.parse((await ask(asked)).body) as unknown;
  return {
    async get(named: string, method = "GET") {
      const { status, body } = await ask({ method, target: `/fetch?url=${encodeURIComponent(named)}` });
      return { status, body: JSON.parse(body) as unknown };
    },
    why: async (...urls: string[]) => (await read({ target: "/why", body: JSON.stringify(urls) })) as string[],
    lookups: () => read({ method: "GET", target: "/lookups" }),
  };
}

/** Listens on every address of this machine, and counts who came. */
async function canary() {
  let connections = 0;
  const server = createTcpServer((socket) => {
    connections++;
    socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, "::", resolve));
  const { port } = server.address() as { port: number };
  return use(closeable({ port, seen: () => connections, close: () => stop(server) }));
}

const refusal = { status: 502, body: expect.objectContaining({ error: REFUSED }) };

/** Hosts as they can be written. */
const WRITTEN = [
  "127.0.0.1",
  "127.1",
  "0x7f.1",
  "0177.0.0.1",
  "2130706433",
  "127.0.0.1.",
  "0.0.0.0",
  "0",
  "[::1]",
  "[::]",
  "[::ffff:7f00:1]",
  "[::ffff:127.0.0.1]",
  "[::7f00:1]",
  "[2002:7f00:1::]",
  "[64:ff9b::7f00:1]",
  "[64:ff9b:1::7f00:1]",
  "[2001:0:7f00:1::]",
  "[fe80::1]",
  "[fd00:ec2::254]",
  "169.254.169.254",
  "localhost",
  "LOCALHOST.",
  "a.localhost",
  "%31%32%37.1",
  "①②⑦.1",
];

/** Addresses that a name can have. */
const RESOLVED = [
  "127.0.0.1",
  "127.255.255.254",
  "0.0.0.0",
  "10.0.0.1",
  "100.64.0.1",
  "100.100.100.200",
  "168.63.129.16",
  "169.254.169.254",
  "172.16.0.1",
  "172.31.255.255",
  "192.0.0.192",
  "192.0.2.1",
  "192.88.99.1",
  "192.168.1.1",
  "198.18.0.1",
  "198.51.100.1",
  "203.0.113.1",
  "224.0.0.1",
  "240.0.0.1",
  "255.255.255.255",
  "::",
  "::1",
  "::127.0.0.1",
  "::ffff:127.0.0.1",
  "::ffff:8.8.8.8",
  "64:ff9b::7f00:1",
  "64:ff9b:1::a00:1",
  "100::1",
  "2001:0:7f00:1::1",
  "2001:db8::1",
  "2002:7f00:1::1",
  "3fff::1",
  "5f00::1",
  "fc00::1",
  "fd00:ec2::254",
  "fe80::1",
  "fe80::1%lo",
  "fec0::1",
  "ff02::1",
  // What is no address is not looked up again.
  "127.1",
  "localhost",
];

describe("AU-09 a URL that leads inside", () => {
  test("however the address is written: nothing is connected, and the answer says nothing", async () => {
    const { port, seen } = await canary();
    const { get, why, lookups } = await fetcher();
    for (const said of await why(...WRITTEN.map((host) => `https://${host}:${port}/`)))
      expect(said).toMatch(/its host is at \S+, which is not public/);
    expect(await get(`https://127.1:${port}/`)).toEqual(refusal);
    expect(await get(`http://127.0.0.1:${port}/`)).toEqual(refusal);
    expect(seen()).toBe(0);
    expect(await lookups()).toEqual([]);
  });

  test("whatever the name means, alone or among public addresses", async () => {
    const { port, seen } = await canary();
    const names: Record<string, string[][]> = {};
    RESOLVED.forEach((address, i) => {
      names[`only-${i}.test`] = [[address]];
      names[`among-${i}.test`] = [["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", address]];
    });
    const { get, why } = await fetcher({ names });
    const said = await why(...Object.keys(names).map((name) => `https://${name}:${port}/`));
    expect(said.filter((text) => !/its host is at \S+, which is not public/.test(text))).toEqual([]);
    expect(await get(`https://among-0.test:${port}/`)).toEqual(refusal);
    expect(seen()).toBe(0);
    expect((await why(`https://only-0.test:${port}/a?code=secret`))[0]).toBe(
      `OUTBOUND_FAILED: ${REFUSED.message} (https://only-0.test:${port}/a: its host is at 127.0.0.1, which is not public. Hosts in a private network must be named in the configuration)`,
    );
  });

  test("of another scheme, with a user, or none at all", async () => {
    const { port, seen } = await canary();
    const { get, why } = await fetcher({ trusted: [`127.0.0.1:${port}`, "as.example.test"] });
    const urls = [
      "",
      "/metadata",
      `//127.0.0.1:${port}/`,
      "file:///etc/passwd",
      "data:application/json,{}",
      "javascript:1",
      `ftp://127.0.0.1:${port}/`,
      `ws://127.0.0.1:${port}/`,
      `http://user:canary@127.0.0.1:${port}/`,
      `http://user@127.0.0.1:${port}/`,
    ];
    const said = await why(...urls);
    expect(said.filter((text) => !/not a URL|https: is needed|a user or a password/.test(text))).toEqual([]);
    expect(said.join()).not.toContain("canary");
    expect(await get("")).toEqual(refusal);
    expect(seen()).toBe(0);
  });

  test("http: where only the name is trusted, and it means another machine", async () => {
    const { get, why } = await fetcher({ trusted: ["as.example.test"], names: { "as.example.test": [["10.0.0.1"]] } });
    expect(await get("http://as.example.test/")).toEqual(refusal);
    expect((await why("http://as.example.test/"))[0]).toContain("Use https:");
  });

  test("trusted names are not dialled either where clouds keep credentials", async () => {
    const names = {
      "as.example.test": [["169.254.169.254"]],
      "bs.example.test": [["fe80::1"]],
      "cs.test": [["0.0.0.0"]],
    };
    const { why } = await fetcher({ names, trusted: Object.keys(names) });
    for (const said of await why(...Object.keys(names).map((name) => `https://${name}/`)))
      expect(said).toContain("which is never dialled");
  });
});

/** An authorization server on this machine that answers as it is told, and counts. */
async function authorizationServer(answer: (target: string, connection: RawConnection) => string | "hang") {
  const { server, requests } = await scripted(({ target }, connection) => answer(target, connection));
  await use(server);
  return { origin: server.url, port: server.port, requests };
}

describe("AU-09 what was checked is what is dialled", () => {
  test("a name is looked up once for a request, and its first answer counts", async () => {
    const own = await authorizationServer(() => jsonAnswer("{}"));
    const other = createTcpServer();
    const seen: unknown[] = [];
    other.on("connection", (socket) => (seen.push(1), socket.destroy()));
    await new Promise<void>((resolve) => other.listen(own.port, "127.0.0.2", resolve));
    await use(closeable({ close: () => stop(other) }));
    const names = { "as.example.test": [["127.0.0.1"], ["127.0.0.2"]] };
    const { get, lookups } = await fetcher({ names, trusted: [`http://as.example.test:${own.port}`] });
    expect(await get(`http://as.example.test:${own.port}/`)).toEqual({
      status: 200,
      body: { status: 200, body: "{}" },
    });
    expect(await lookups()).toEqual(["as.example.test"]);
    expect(own.requests[0]!.headers.host).toBe(`as.example.test:${own.port}`);
    expect(seen).toEqual([]);
  });

  test("after a redirect it is looked up and checked again", async () => {
    const own = await authorizationServer((target) =>
      target === "/next" ? jsonAnswer("{}") : redirect(`http://as.example.test:${own.port}/next`),
    );
    const names = { "as.example.test": [["127.0.0.1"], ["169.254.169.254"]] };
    const { why, lookups } = await fetcher({ names, trusted: ["as.example.test"], maxRedirects: 3 });
    expect((await why(`http://as.example.test:${own.port}/`))[0]).toContain("169.254.169.254, which is never dialled");
    expect(await lookups()).toHaveLength(2);
    expect(own.requests).toHaveLength(1);
  });

  test("the certificate must be that of the name in the URL", async () => {
    const server = createTlsServer({ cert: tls.cert, key: tls.key }, (socket) => {
      socket.on("error", () => {});
      socket.once("data", () => socket.end(jsonAnswer('{"secure":true}', "200 OK", "connection: close\r\n")));
    });
    const port = await listen(server as TcpServer);
    await use(closeable({ close: () => stop(server as TcpServer) }));
    const names = { "as.example.test": [["127.0.0.1"]], "other.test": [["127.0.0.1"]] };
    const trusted = [...Object.keys(names), "127.0.0.1"];
    const { get } = await fetcher({ names, trusted, tls: { ca: tls.ca } });
    expect(await get(`https://as.example.test:${port}/`)).toEqual({
      status: 200,
      body: { status: 200, body: '{"secure":true}' },
    });
    expect(await get(`https://other.test:${port}/`)).toEqual(refusal);
    expect(await get(`https://127.0.0.1:${port}/`)).toEqual(refusal);
    const strict = await fetcher({ names, trusted });
    expect(await strict.get(`https://as.example.test:${port}/`)).toEqual(refusal);
  });

  test("another address is tried where the first one is not reached", async () => {
    const own = await authorizationServer(() => jsonAnswer("{}"));
    const names = { "as.example.test": [["127.0.0.3", "127.0.0.1"]] };
    const { get } = await fetcher({ names, trusted: ["as.example.test"] });
    expect(await get(`http://as.example.test:${own.port}/`, "POST")).toMatchObject({ status: 200 });
    expect(own.requests).toHaveLength(1);
  });
});

const redirect = (location: string, status = "302 Found") =>
  `HTTP/1.1 ${status}\r\nlocation: ${location}\r\ncontent-length: 0\r\n\r\n`;

describe("AU-09 a redirect", () => {
  test("to another origin is not followed: private, public, another port, another scheme", async () => {
    const { port, seen } = await canary();
    const own = await authorizationServer((target) => redirect(target.slice("/?".length)));
    const { get, why } = await fetcher({ trusted: [own.origin, `https://127.0.0.1:${own.port}`], maxRedirects: 3 });
    const locations = [
      `http://127.0.0.1:${port}/`,
      `https://127.0.0.1:${port}/`,
      `https://127.0.0.1:${own.port}/`,
      `//127.0.0.1:${port}/`,
      `http://user@127.0.0.1:${own.port}/`,
      "http://169.254.169.254/latest/meta-data/",
      "https://as.example.test/",
      "file:///etc/passwd",
      "http://[",
    ];
    const said = await why(...locations.map((location) => `${own.origin}/?${location}`));
    expect(said.filter((text) => !text.includes("it redirects to another origin"))).toEqual([]);
    expect(await get(`${own.origin}/?${locations[0]}`)).toEqual(refusal);
    expect(seen()).toBe(0);
  });

  test("within the origin is followed by a GET, three times at most, where that was asked for", async () => {
    const own = await authorizationServer((target) => {
      const left = Number(target.slice(1));
      return left > 0 ? redirect(`/${left - 1}`, "307 Temporary Redirect") : jsonAnswer("{}");
    });
    const { get } = await fetcher({ trusted: [own.origin], maxRedirects: 9 });
    expect(await get(`${own.origin}/3`)).toMatchObject({ status: 200 });
    expect(await get(`${own.origin}/4`)).toEqual(refusal);
    expect(await get(`${own.origin}/1`, "POST")).toEqual(refusal);
    expect(await (await fetcher({ trusted: [own.origin] })).get(`${own.origin}/1`)).toEqual(refusal);
  });

  test("from https: to http: is not followed", async () => {
    const { port: inside, seen } = await canary();
    const server = createTlsServer({ cert: tls.cert, key: tls.key }, (socket) => {
      socket.on("error", () => {});
      socket.once("data", () => socket.end(redirect(`http://localhost:${inside}/`)));
    });
    const port = await listen(server as TcpServer);
    await use(closeable({ close: () => stop(server as TcpServer) }));
    const { get } = await fetcher({ trusted: ["localhost"], tls: { ca: tls.ca }, maxRedirects: 3 });
    expect(await get(`https://localhost:${port}/`)).toEqual(refusal);
    expect(seen()).toBe(0);
  });
});

/** Sends pieces for as long as they are taken. @returns when the reader was gone, how many bytes had left */
function endless(head: string, piece: string) {
  let sent = 0;
  let left!: (bytes: number) => void;
  const gone = new Promise<number>((resolve) => (left = resolve));
  const serve = (connection: RawConnection) => {
    const { socket } = connection;
    socket.on("error", () => {});
    socket.on("close", () => left(sent));
    const more = () => {
      while (!socket.destroyed && socket.write(piece)) sent += piece.length;
    };
    socket.on("drain", more);
    socket.write(head);
    more();
  };
  return { serve, gone };
}

describe("AU-09 an answer", () => {
  const JSON_HEAD = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
  const PIECE = " ".repeat(16 * 1024);

  test.each([
    ["of 1 GB", `${JSON_HEAD}content-length: 1073741824\r\n\r\n`, PIECE],
    ["without an end", `${JSON_HEAD}transfer-encoding: chunked\r\n\r\n`, `4000\r\n${PIECE}\r\n`],
    ["that ends with its connection, which never does", `${JSON_HEAD}\r\n`, PIECE],
    ["with a head without an end", "HTTP/1.1 200 OK\r\n", `x-a: ${"a".repeat(1000)}\r\n`],
    ["that is always about to begin", "", "HTTP/1.1 103 Early Hints\r\n\r\n"],
  ])("%s is given up, and its connection closed", async (_name, head, piece) => {
    const { serve, gone } = endless(head, piece);
    const server = await use(rawServer(async (connection) => (await connection.receiveRequest(), serve(connection))));
    const { get } = await fetcher({ trusted: [server.url] });
    expect(await get(`${server.url}/`)).toEqual(refusal);
    // What fits into the buffers of two sockets may have left.
    expect(await gone).toBeLessThan(64 * 1024 * 1024);
  });

  test("of exactly 256 KiB is read, one byte more is not", async () => {
    const own = await authorizationServer((target) => jsonAnswer(`"${"a".repeat(Number(target.slice(1)) - 2)}"`));
    const { get } = await fetcher({ trusted: [own.origin] });
    expect((await get(`${own.origin}/262144`)).status).toBe(200);
    expect(await get(`${own.origin}/262145`)).toEqual(refusal);
  });

  test("that comes byte by byte is given up when the time is over", async () => {
    const own = await authorizationServer((_target, connection) => {
      connection.send(`${JSON_HEAD}content-length: 1000\r\n\r\n`);
      const timer = setInterval(() => connection.socket.write(" "), 50);
      connection.socket.once("close", () => clearInterval(timer));
      return "hang";
    });
    const { get } = await fetcher({ trusted: [own.origin], timeout: 300 });
    const start = performance.now();
    expect(await get(`${own.origin}/`)).toEqual(refusal);
    expect(performance.now() - start).toBeLessThan(1500);
  });

  test("that is not plain JSON is refused", async () => {
    const answers: [string, string][] = [
      ["content-type: text/html", "<p>"],
      ["x-a: b", "{}"],
      ["content-type: application/jsonp", "{}"],
      ["content-type: application/x-www-form-urlencoded", "a=b"],
      ["content-type: application/json\r\ncontent-encoding: gzip", "\x1f\x8b"],
      ["content-type: application/json\r\ncontent-encoding: identity\r\ncontent-encoding: gzip", "x"],
    ];
    const own = await authorizationServer((target) => {
      const [fields, body] = answers[Number(target.slice(1))]!;
      return `HTTP/1.1 200 OK\r\n${fields}\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
    });
    const { why } = await fetcher({ trusted: [own.origin] });
    const said = await why(...answers.map((_, i) => `${own.origin}/${i}`));
    expect(said.filter((text) => !/is not JSON|has a content coding/.test(text))).toEqual([]);
  });
});

test("AU-09 a client is told the same of a closed port, a silent one, a name without address, and a private one", async () => {
  const silent = await use(rawServer(async (connection) => void (await connection.receive(/never/).catch(() => {}))));
  const closed = `http://127.0.0.1:${await deadPort()}`;
  const names = { "inside.test": [["10.0.0.1"]] };
  const { get } = await fetcher({ names, trusted: [silent.url, closed], timeout: 200 });
  for (const named of [`${closed}/`, `${silent.url}/`, "https://nowhere.test/", "https://inside.test/"])
    expect(await get(named), named).toEqual({
      status: 502,
      body: { jsonrpc: "2.0", id: null, error: REFUSED },
    });
});
