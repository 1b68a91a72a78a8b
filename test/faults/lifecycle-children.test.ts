/** A stop with processes of servers. */
import { expect, test } from "vitest";
import { startCli } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { StdioClient, childrenOf, gone, stdioServer } from "../_harness/stdio.ts";
import { within } from "../_harness/wait.ts";
import { folderWith } from "../core/files.ts";

const use = testScope();

test("LC-01 SIGTERM with streams, slow calls and two processes: calls end with their answers, processes are gone", async () => {
  const servers = { one: stdioServer([], { path: "/one" }), other: stdioServer(["--ignore-eof"], { path: "/other" }) };
  const cwd = folderWith({ "penstock.config.json": { servers, port: 0, drainTimeout: 5000 } });
  const cli = await use(startCli([], { cwd, runs: true }));
  const clients: StdioClient[] = [];
  for (const path of ["one", "other"]) {
    clients.push(await StdioClient.open(`${cli.url}/${path}`));
  }
  const pids = childrenOf(cli.pid);
  expect(pids).toHaveLength(2);
  const streams = await Promise.all(clients.map((client) => use(client.listen())));
  const calls = clients.map((client) => client.call("wait", { name: "a" }, "slow"));
  for (const client of clients) await expect.poll(() => client.text("executed")).toBe("1");
  // Connections that are open already may still be used while the proxy stops: this answer is under way.
  const releases = clients.map((client) => client.call("later", { name: "a", ms: 500 }));
  for (const client of clients) await expect.poll(() => client.text("executed")).toBe("1");

  cli.kill("SIGTERM");
  const answers = await within(Promise.all([...calls, ...releases]), "the answers", { timeout: 5000 });
  expect(answers.map(({ response }) => response.result.content[0].text)).toEqual(["released a", "released a", "", ""]);
  await within(Promise.all(streams.map(({ ended }) => ended)), "the end of the streams");
  const { code, ms } = await within(cli.exited, "the exit", { timeout: 8000 });
  await gone(pids, 100);
  // Half a second for the calls, two for the process that takes no notice of the end of its input.
  expect([code, ms < 5000]).toEqual([0, true]);
});
