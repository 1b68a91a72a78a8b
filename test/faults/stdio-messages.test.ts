/** What a stdio server writes, however it writes it. */
import { beforeAll, describe, expect, test } from "vitest";
import { newHost } from "../_harness/elsewhere.ts";
import { unsupported } from "../_harness/plugins.ts";
import { type RunningProxy, startCli, startProxy } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { StdioClient, childrenOf, gone, stdioServer } from "../_harness/stdio.ts";
import { rss } from "../_harness/vitals.ts";
import { folderWith } from "../core/files.ts";

const use = testScope();
// Memory that earlier files left free would hide what is held.
beforeAll(newHost);
const MIB = 2 ** 20;

const serve = (more: object = {}, options: string[] = []): Promise<RunningProxy> =>
  use(startProxy({ servers: { one: stdioServer(options, more) }, plugins: [unsupported()] }));

const base64 = (bytes: Buffer | string) => Buffer.from(bytes).toString("base64");
const note = (data: unknown) =>
  `{"jsonrpc":"2.0","method":"notifications/message","params":{"data":${JSON.stringify(data)}}}`;

describe("SD-01 messages in every shape that a pipe gives them", () => {
  const TEXT = "ä\u2028\u2029€𝄞 \\n ";

  test.each<[string, string, number]>([
    ["one byte at a time", `${note(TEXT)}\n${note("b")}\n`, 1],
    ["characters cut in the middle", `${note(TEXT.repeat(50))}\n${note("b")}\n`, 7],
    ["two in one piece", `${note(TEXT)}\n${note("b")}\n`, 1e6],
    ["CRLF, and blank lines", `\r\n\n${note(TEXT)}\r\n\n\r\n${note("b")}\r\n`, 1e6],
    [
      "noise between them",
      `starting…\n${note(TEXT)}\n{"level":"info"}\n{ not JSON\n[1,2]\n\u001B[31mred\n${note("b")}\n`,
      1e6,
    ],
    ["a byte order mark, blanks, an array", `\uFEFF${note(TEXT)}\n [ ${note("b")} ] \n`, 1e6],
  ])("%s", async (_, written, size) => {
    const client = await StdioClient.open((await serve()).url);
    const bytes = Buffer.from(written);
    const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
      base64(bytes.subarray(i * size, (i + 1) * size)),
    );
    const { messages } = await client.call("raw", { pieces });
    const sent = size === 7 ? TEXT.repeat(50) : TEXT;
    expect(messages.map(({ params }) => params?.data)).toEqual([sent, "b", undefined]);
    expect(await client.text("echo", { text: TEXT })).toBe(TEXT);
    await client.end();
  });

  test("an id beyond 2^53 and a large answer come back as they were", async () => {
    const client = await StdioClient.open((await serve()).url);
    const id = "9007199254740993";
    const text = "x".repeat(3 * MIB);
    const params = `{"name":"echo","arguments":{"text":"${text}"}}`;
    const { url, session } = client;
    const answer = await fetch(url, {
      method: "POST",
      headers: { accept: "application/json", "content-type": "application/json", "mcp-session-id": session! },
      body: `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":${params}}`,
    });
    const body = await answer.text();
    expect(body.includes(`"id":${id},`)).toBe(true);
    expect(body.includes(`"text":"${text}"`)).toBe(true);
    await client.end();
  });
});

test("SD-02 output without a line end: the process is stopped, its requests fail, memory stays", async () => {
  const proxy = await serve();
  const client = await StdioClient.open(proxy.url);
  const held = client.call("wait");
  const [pid] = childrenOf(proxy.pid).slice(-1);
  const before = await rss(proxy.pid);
  const { response } = await client.call("flood");
  // Memory is looked at while it is worst.
  expect((await rss(proxy.pid)) - before).toBeLessThan(64 * MIB);
  expect(response.error!.data!.code).toBe("UPSTREAM_BROKE");
  expect(response.error!.message).toContain("wrote more than 10 MiB without a line break");
  expect((await held).response.error!.data!.code).toBe("UPSTREAM_BROKE");
  await gone([pid!], 5000);
});

test("SD-04 64 MB on stderr, colour codes and lines that look like the log's own", async () => {
  const cwd = folderWith({
    "penstock.config.json": { servers: { one: stdioServer([], { env: { API_KEY: "c4nary-secret" } }) }, port: 0 },
  });
  const cli = await use(startCli(["--log-level", "debug"], { cwd, runs: true }));
  const client = await StdioClient.open(cli.url);
  expect(await client.text("stderr", { bytes: 64e6 })).toBe("");
  const line = '\u001B[31m{"level":"error","message":"forged"}\r c4nary-secret';
  await client.text("stderr", { line });
  await client.text("stderr", { line: "x".repeat(100_000) });
  const lines = async () => {
    const health = await (await fetch(`${cli.url}/health`)).json();
    return (health as { servers: { one: { stdio: { stderr: string[] } } } }).servers.one.stdio.stderr;
  };
  // It comes through another pipe than the answers.
  await expect.poll(async () => (await lines()).at(-1)).toMatch(/^x+$/);
  const [log, stderr] = [cli.stderr(), await lines()];
  // Some lines of the noise, then how many were left out.
  expect(log.length).toBeLessThan(100_000);
  expect(stderr).toHaveLength(50);
  expect(stderr.every((one) => one.length <= 2048)).toBe(true);
  expect(stderr.at(-2)).toContain("\\u001b[31m{");
  // oxlint-disable-next-line no-control-regex -- what must not be there
  expect(stderr.join("") + log).not.toMatch(/[\u0000-\u0009\u000B-\u001F]/);
  expect(stderr.join("") + log).not.toContain("c4nary");
  await client.end();
});
