/** The decision about a request's era, beside the one that the SDK's servers take. */
import { classifyInboundRequest } from "@modelcontextprotocol/server";
import { describe, expect, test } from "vitest";
import { type EraDecision, decideEra } from "../../core/era.ts";

const META = "io.modelcontextprotocol/";
const envelope = (version: unknown, more: object = {}) => ({
  [`${META}protocolVersion`]: version,
  [`${META}clientCapabilities`]: {},
  ...more,
});

const METAS: Record<string, object | undefined> = {
  none: undefined,
  "a progress token only": { progressToken: 1 },
  "other reserved keys only": { [`${META}clientCapabilities`]: {}, [`${META}clientInfo`]: { name: "a", version: "1" } },
  modern: envelope("2026-07-28"),
  "modern, with all keys": envelope("2026-07-28", {
    [`${META}clientInfo`]: { name: "a", version: "1" },
    [`${META}logLevel`]: "warning",
    progressToken: "p",
    "com.example/x": [1],
  }),
  later: envelope("2027-01-01"),
  old: envelope("2025-06-18"),
  "a version that is no text": envelope(20260728),
  "no capabilities": { [`${META}protocolVersion`]: "2026-07-28" },
  "capabilities that are a list": envelope("2026-07-28", { [`${META}clientCapabilities`]: [] }),
  "info without a version": envelope("2026-07-28", { [`${META}clientInfo`]: { name: "a" } }),
  "no such level": envelope("2026-07-28", { [`${META}logLevel`]: "loud" }),
};
const VERSIONS = [undefined, "2025-03-26", "2025-11-25", "2026-07-28", " 2026-07-28\t", "2027-01-01", "zebra", ""];
const MIRRORS = [undefined, "tools/list", "initialize", "notifications/x", "TOOLS/LIST"];
const withMeta = (params: object | undefined, meta: object | undefined) => (meta ? { ...params, _meta: meta } : params);

/** Every kind of body, with one envelope. */
function bodies(meta: object | undefined): unknown[] {
  const request = (method: string, params?: object) => ({
    jsonrpc: "2.0",
    id: 1,
    method,
    ...(withMeta(params, meta) && { params: withMeta(params, meta) }),
  });
  const { id: _id, ...notification } = request("notifications/x");
  const response = { jsonrpc: "2.0", id: 1, result: {} };
  return [
    request("tools/list"),
    request("tools/list", {}),
    request("initialize", { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "a", version: "1" } }),
    notification,
    response,
    { jsonrpc: "2.0", id: 1, error: { code: -1, message: "no" } },
    [],
    [request("tools/list"), notification],
    [response],
    [request("tools/list"), 7],
  ];
}

/** What the two must agree on. */
function ours({ era, refusal }: EraDecision): string {
  return refusal ? `refused ${refusal.status} ${refusal.rpcCode}` : era;
}
function theirs(outcome: ReturnType<typeof classifyInboundRequest>): string {
  if (outcome.kind === "legacy" || outcome.kind === "modern") return outcome.kind;
  return `refused ${outcome.httpStatus} ${outcome.code}`;
}

describe.each(Object.keys(METAS))("an envelope: %s", (name) => {
  test("every method, header and kind of body is decided as the SDK decides it", () => {
    const wrong: string[] = [];
    let compared = 0;
    for (const httpMethod of ["POST", "GET", "DELETE"]) {
      for (const version of VERSIONS) {
        for (const mirror of MIRRORS) {
          for (const body of bodies(METAS[name])) {
            const headers = new Headers();
            if (version !== undefined) headers.set("mcp-protocol-version", version);
            if (mirror !== undefined) headers.set("mcp-method", mirror);
            const expected = theirs(
              classifyInboundRequest({
                httpMethod,
                protocolVersionHeader: headers.get("mcp-protocol-version") ?? undefined,
                mcpMethodHeader: headers.get("mcp-method") ?? undefined,
                body,
              }),
            );
            const found = ours(decideEra(httpMethod, headers, body as never));
            compared++;
            if (found !== expected)
              wrong.push(`${httpMethod} ${version} ${mirror} ${JSON.stringify(body)}: ${found}, SDK: ${expected}`);
          }
        }
      }
    }
    expect(wrong.slice(0, 5)).toEqual([]);
    expect(compared).toBe(3 * VERSIONS.length * MIRRORS.length * bodies(undefined).length);
  });
});

test("the version is the body's where it has one, else the header's, else the one that is assumed", () => {
  const version = (body: unknown, header?: string) =>
    decideEra("POST", new Headers(header ? { "mcp-protocol-version": header } : {}), body as never).version;
  const list = { jsonrpc: "2.0", id: 1, method: "tools/list" };
  expect(version({ ...list, params: { _meta: envelope("2026-07-28") } })).toBe("2026-07-28");
  expect(version({ ...list, method: "initialize", params: { protocolVersion: "2025-06-18" } }, "2025-11-25")).toBe(
    "2025-06-18",
  );
  expect(version(list, "2025-11-25")).toBe("2025-11-25");
  expect(version(list)).toBe("2025-03-26");
});

test("before the body was read the header decides", () => {
  const decide = (header: string) => decideEra("POST", new Headers({ "mcp-protocol-version": header }), undefined).era;
  expect([decide("2026-07-28"), decide("2025-11-25")]).toEqual(["modern", "legacy"]);
});
