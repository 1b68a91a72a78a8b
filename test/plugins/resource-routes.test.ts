/** The metadata of protected resources: where it is served, and that one plugin only speaks for a mount. */
import { describe, expect, test } from "vitest";
import { type PenstockConfig, createPenstock } from "mcp-penstock";
import { oauthRelay } from "mcp-penstock/plugins/oauth-relay";
import { closeable } from "../_harness/loopback.ts";
import { testScope } from "../_harness/scope.ts";
import { startLegacyServer } from "../_harness/servers.ts";

const use = testScope();
const WELL_KNOWN = "/.well-known/oauth-protected-resource";

/** One server that tells its authorization server, at these paths. */
async function documented(paths: object, more: Partial<PenstockConfig> = {}) {
  const server = await use(
    startLegacyServer({
      intercept({ target }, _request, response) {
        const found = target === `${WELL_KNOWN}/mcp`;
        response.writeHead(found ? 200 : 404, { "content-type": "application/json" });
        response.end(found ? '{"resource":"https://d.example.com","authorization_servers":["https://as"]}' : "{}");
        return true;
      },
    }),
  );
  const servers = { docs: { url: server.url, auth: "passthrough" as const, ...paths } };
  const penstock = createPenstock({ servers, plugins: [oauthRelay()], publicUrl: "https://gw.example.com", ...more });
  await use(closeable({ close: () => penstock.close() }));
  return (path: string, method = "GET") => penstock.fetch(new Request(`http://localhost${path}`, { method }));
}

describe("each path of a mount", () => {
  const paths = { path: ["/docs/mcp", "/old"], ssePath: "/docs/sse" };
  test.each(["/docs/mcp", "/old", "/docs/sse"])(
    "%s has its document, between host and path and behind it",
    async (path) => {
      const ask = await documented(paths);
      for (const place of [WELL_KNOWN + path, path + WELL_KNOWN])
        for (const target of [place, `${place}/`]) {
          const answer = await ask(target);
          expect([target, answer.status, answer.headers.get("access-control-allow-origin")]).toEqual([
            target,
            200,
            "*",
          ]);
          expect(await answer.json()).toEqual({
            resource: `https://gw.example.com${path}`,
            authorization_servers: ["https://as"],
          });
          expect([target, (await ask(target, "HEAD")).status, (await ask(target, "OPTIONS")).status]).toEqual([
            target,
            200,
            204,
          ]);
        }
    },
  );

  test("the path that stands for a pattern is the one that was asked for", async () => {
    const ask = await documented({ path: ["/t/:tenant/mcp", "/all/**"] }, { publicUrl: "https://gw.example.com/team" });
    for (const path of ["/t/a/mcp", "/t/b/mcp", "/all/c/d"])
      for (const prefix of ["", "/team"])
        expect(await (await ask(WELL_KNOWN + prefix + path)).json()).toMatchObject({
          resource: `https://gw.example.com/team${path}`,
        });
  });

  test("one at the root leaves the root's document to who owns it", async () => {
    const ask = await documented({ path: "/" });
    expect((await ask(WELL_KNOWN)).status).toBe(404);
  });
});

describe("two plugins that make the clients of a server log in", () => {
  const servers = { docs: { url: "http://127.0.0.1:9/mcp", path: "/docs/mcp", auth: "passthrough" as const } };
  test("stop the start, and are named", async () => {
    const penstock = createPenstock({ servers, plugins: [oauthRelay(), oauthRelay()] });
    await use(closeable({ close: () => penstock.close() }));
    await expect(penstock.ready()).rejects.toMatchObject({
      code: "BAD_OPTION",
      message: expect.stringMatching(/'docs'.*'oauth-relay' twice/) as string,
    });
  });
});
