/** Who leaves, who cancels, who goes down: what the other side sees of it, in every pair of eras. */
import { describe, expect, test } from "vitest";
import { type RawClient, within } from "../_harness/peers.ts";
import { bridge, standard } from "../_harness/plugins.ts";
import { startProxy } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import {
  type HoldingServer,
  UPSTREAMS,
  type UpstreamKind,
  eraOf,
  holdingServer,
  legacyClient,
  modernClient,
} from "./bridge-peers.ts";

const use = testScope();

async function behind(
  kind: UpstreamKind,
  plugins: unknown = standard(),
): Promise<{ server: HoldingServer; port: number }> {
  const server = await use(holdingServer(kind));
  const proxy = await use(startProxy({ servers: { one: { ...server.config, path: "/mcp" } }, plugins }));
  return { server, port: Number(new URL(proxy.url).port) };
}

/** What the server saw after the call, but for the end of sessions. */
function since({ saw }: HoldingServer): string[] {
  const at = saw.entries.findIndex((one) => one.startsWith("call"));
  return saw.entries.slice(at + 1);
}

/** MCP 2026-07-28, Transports: its end cancels; MCP 2025-11-25, Cancellation: only a notification does. */
const CANCELLED: Record<UpstreamKind, (id: string) => string[]> = {
  "legacy HTTP": (id) => [`cancelled ${id}`, "closed"],
  "modern HTTP": () => ["closed"],
  "legacy stdio": (id) => [`cancelled ${id}`],
  "modern stdio": (id) => [`cancelled ${id}`],
};

async function expectCancelled(
  kind: UpstreamKind,
  server: HoldingServer,
  id: string,
  which = CANCELLED[kind](id),
): Promise<void> {
  for (const one of which) await server.saw.find((seen) => seen === one, `'${one}' at the server`);
  expect(since(server).sort()).toEqual(which.sort());
}

describe("SE-10 a modern client that closes its stream", () => {
  test.each(UPSTREAMS)("the server is told to stop: %s", async (kind) => {
    const { server, port } = await behind(kind);
    const client = await modernClient(use, port).call(7);
    const { id } = await server.held();
    await client.close();
    await expectCancelled(kind, server, id);
  });
});

describe("SE-10 a legacy client whose connection drops", () => {
  test.each(UPSTREAMS)("the call runs to its end, and the client comes back for it: %s", async (kind) => {
    const { server, port } = await behind(kind);
    const client = await legacyClient(use, port);
    const calling = await client.call(7);
    const held = await server.held();
    const [, lastId] = [...calling.received.matchAll(/^id: ?(\S+)/gm)].at(-1)!;
    calling.reset();
    await calling.closed;
    held.progress(2);
    const again = await client.resume(lastId!);
    await again.receive(/"progress":2\b/);
    expect(since(server)).not.toContain("closed");
    held.finish();
    const rest = await again.receive(/"id":7[^\n]*\n/);
    expect(rest).toContain("ran to its end");
    expect(since(server).filter((one) => one.startsWith("cancelled"))).toEqual([]);
  });

  test("without sessions of the proxy nobody can come back: the connection ends, and nothing is cancelled", async () => {
    const { server, port } = await behind("legacy HTTP", [bridge()]);
    const client = await legacyClient(use, port);
    const calling = await client.call(7);
    calling.reset();
    await server.saw.find((one) => one === "closed", "the end of the call's connection");
    // A message later: there was nothing else.
    expect(await client.post({ id: 8, method: "tools/list" })).toBe(200);
    expect(since(server)).toEqual(["closed", "tools/list"]);
  });
});

describe("SE-10 a legacy client that cancels", () => {
  test.each(UPSTREAMS)("the server is told to stop: %s", async (kind) => {
    const { server, port } = await behind(kind);
    const client = await legacyClient(use, port);
    const calling = await client.call(7);
    const { id } = await server.held();
    expect(await client.post({ method: "notifications/cancelled", params: { requestId: 7, reason: "no" } })).toBe(202);
    // A legacy server ends the answer of what it was told to cancel.
    await expectCancelled(kind, server, id, kind === "legacy HTTP" ? [`cancelled ${id}`] : undefined);
    if (kind === "legacy HTTP") (await server.held()).down("ends");
    await within(calling.receive(/\r\n0\r\n\r\n/), "the end of the client's stream");
    // MCP 2025-11-25, Cancellation: no response to what was cancelled.
    expect(calling.received).not.toContain('"id":7');
  });
});

/** Client and server are of different eras. */
const MIXED = UPSTREAMS.flatMap((kind) => [[eraOf(kind) === "legacy" ? "modern" : "legacy", kind] as const]);

describe.each(["ends", "dies"] as const)("SE-10 a server that %s in the middle of a call", (how) => {
  test.each(MIXED)("a %s client of a %s server is told with the id of its request", async (client, kind) => {
    const { server, port } = await behind(kind);
    const calling: RawClient = await (
      client === "legacy" ? await legacyClient(use, port) : modernClient(use, port)
    ).call(7);
    (await server.held()).down(how);
    const rest = await calling.receive(/\r\n0\r\n\r\n/);
    const response = /^data: (.*"id":7.*)$/m.exec(rest)?.[1];
    expect(JSON.parse(response ?? "null")).toMatchObject({
      jsonrpc: "2.0",
      id: 7,
      error: { code: expect.any(Number) },
    });
    // Whoever sees an id would come back for more (MCP 2025-11-25, Transports).
    if (client === "modern") expect(calling.received).not.toMatch(/^id:/m);
    expect(server.saw.entries.filter((one) => one.startsWith("call"))).toHaveLength(1);
  });
});
