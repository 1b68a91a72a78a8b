import { expect, it } from "vitest";
import { ProxyError } from "mcp-penstock";
import { requestLog } from "mcp-penstock/plugins/request-log";
import { fakeServer, testPlugin } from "mcp-penstock/testing";
import { rawClient } from "../_harness/peers.ts";

it("writes one line per exchange: methods, tool, server, principal, status, duration, bytes, id", async () => {
  const test = await testPlugin(requestLog());
  const { headers } = await test.request("tools/call", { name: "echo", arguments: { secret: "s3cr3t" } });
  expect(test.log).toHaveLength(1);
  expect(test.log[0]).toMatch(/^info POST alpha tools\/call echo anna 200 \d+ms \d+B up \d+B down id=[\da-f]{8}-\w+$/);
  expect(test.log[0]).toContain(`id=${headers.get("x-request-id")}`);
  await test.close();
});

it("takes the client's id where it is plain, and makes one where it is not", async () => {
  const test = await testPlugin(requestLog());
  const id = async (sent: string) =>
    (await test.request("ping", {}, { headers: { "x-request-id": sent } })).headers.get("x-request-id");
  expect(await id("req-7.a:b_C")).toBe("req-7.a:b_C");
  expect(await id("a b")).toMatch(/^[\da-f]{8}-\w+$/);
  expect(await id("x".repeat(200))).toMatch(/^[\da-f]{8}-\w+$/);
  await test.close();
});

it("says at warn how a bad end came about, and tells nothing of a query", async () => {
  const server = fakeServer(() => {
    throw new ProxyError("UPSTREAM_UNREACHABLE");
  });
  const test = await testPlugin(requestLog(), { server });
  await test.request("resources/read", { uri: "file:///a?token=s3cr3t" });
  const line = test.log.find((one) => one.includes("resources/read"))!;
  expect(line).toMatch(
    /^warn POST alpha resources\/read file:\/\/\/a anna 502 .* upstream-broke UPSTREAM_UNREACHABLE id=/,
  );
  expect(test.log.join("\n")).not.toContain("s3cr3t");
  await test.close();
});

it("logs a client that left once, when its stream ends", async () => {
  const test = await testPlugin(requestLog(), { socket: true });
  const answer = await test.fetch({ headers: { accept: "text/event-stream" } });
  const { port } = new URL(answer.url);
  await answer.body!.cancel();
  await expect.poll(() => test.log.length).toBe(1);
  expect(test.log[0]).toMatch(/^info GET alpha - anna 200 .* client-gone id=/);
  // A request that is refused before it has a message is logged too.
  const client = await rawClient(Number(port));
  client.send("PUT /alpha/mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
  await client.receiveResponse();
  await client.close();
  await expect.poll(() => test.log.at(-1)).toMatch(/^info PUT alpha - .* 405 .* refused METHOD_NOT_ALLOWED/);
  await test.close();
});

it("sends no header when told so", async () => {
  const test = await testPlugin(requestLog({ header: false }));
  expect((await test.request("ping")).headers.has("x-request-id")).toBe(false);
  await test.close();
});

it("logs a body that is no message, and what is wrong with it", async () => {
  const test = await testPlugin(requestLog());
  await test.fetch({ method: "POST", body: "garbage{", headers: { "content-type": "application/json" } });
  expect(test.log.filter((line) => line.startsWith("error"))).toEqual([]);
  expect(test.log.at(-1)).toMatch(/^info POST alpha - anna 400 .* 8B up .* refused PARSE_ERROR id=/);
  await test.close();
});
