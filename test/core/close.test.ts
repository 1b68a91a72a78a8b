/** What happens to open exchanges and bodies that plugins made, when somebody leaves or the proxy closes. */
import { type Frame, type Outcome, type Plugin, createPenstock, json, sse } from "mcp-penstock";
import { fakeServer, testPlugin } from "mcp-penstock/testing";
import { expect, it } from "vitest";
import { gate, rawClient } from "../_harness/peers.ts";

const observed = (seen: Outcome[]): Plugin => ({
  name: "observer",
  done: (_exchange, outcome) => void seen.push(outcome),
});

it("ends a plugin's own stream when its reader leaves", async () => {
  const ended = gate();
  async function* frames(): AsyncGenerator<Frame> {
    try {
      for (let id = 0; ; id++) {
        yield { id: String(id), comment: "here" };
        await new Promise((resolve) => setImmediate(resolve));
      }
    } finally {
      ended.open();
    }
  }
  const test = await testPlugin({ name: "own-stream", request: () => sse(frames()) }, { socket: true });
  const answer = await test.fetch({});
  await answer.body!.getReader().read();
  await test.fetch({ method: "DELETE" }).then((other) => other.body!.cancel());
  await answer.body!.cancel().catch(() => {});
  await test.close();
  await ended.promise;
});

it("reports every open exchange once when the proxy closes", async () => {
  const seen: Outcome[] = [];
  const penstock = createPenstock(
    { servers: { one: { url: "http://fake.invalid/mcp", path: "/mcp" } }, plugins: observed(seen) },
    { connect: fakeServer().connect },
  );
  const server = await penstock.serve({ port: 0 });
  const client = await rawClient(server.port);
  client.send("GET /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n");
  await client.receive(/\r\n\r\n/);
  expect(penstock.active).toBe(1);
  await server.close();
  await expect.poll(() => penstock.active).toBe(0);
  await client.close();
  expect(seen.map(({ end, status }) => [end, status])).toEqual([["client-gone", 200]]);
});

it("refuses everybody where a plugin asks who they are and nobody is known", async () => {
  const server = fakeServer();
  const nobody: Plugin = { name: "nobody", authenticate: () => {} };
  const penstock = createPenstock(
    { servers: { one: { url: "http://fake.invalid/mcp", path: "/mcp" } }, plugins: nobody },
    { connect: server.connect },
  );
  const answer = await penstock.fetch(new Request("http://localhost/mcp"));
  expect(answer.status).toBe(401);
  expect(await answer.json()).toMatchObject({ error: { data: { code: "UNAUTHENTICATED" } } });
  expect(server.requests).toEqual([]);
  await penstock.close();
});

it("lets a plugin's answer stand in place of a principal", async () => {
  const login: Plugin = {
    name: "login",
    authenticate: () => json({ error: "log in first" }, 401, { "www-authenticate": "Bearer" }),
  };
  const penstock = createPenstock(
    { servers: { one: { url: "http://fake.invalid/mcp", path: "/mcp" } }, plugins: login },
    { connect: fakeServer().connect },
  );
  const answer = await penstock.fetch(new Request("http://localhost/mcp"));
  expect(answer.headers.get("www-authenticate")).toBe("Bearer");
  await penstock.close();
});
