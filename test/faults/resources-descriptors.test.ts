import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type Load, startLoad } from "../_harness/load.ts";
import { closeable } from "../_harness/loopback.ts";
import { type RawClient, rawClient } from "../_harness/peers.ts";
import { type Cli, startCli } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { descriptors } from "../_harness/vitals.ts";
import { call, plain, post } from "../_harness/wire.ts";

const use = testScope();
const FILES = 128;
const CLIENTS = 300;

/** The command line with few descriptors, in front of a server. */
async function setUp(config?: (url: string) => object): Promise<{ cli: Cli; load: Load; base: number }> {
  const load = await use(startLoad());
  let args = ["--url", `${load.url}/mcp`];
  if (config) {
    const folder = await mkdtemp(join(tmpdir(), "penstock-"));
    await use(closeable({ close: () => rm(folder, { recursive: true }) }));
    const file = join(folder, "penstock.config.mjs");
    await writeFile(file, `export default ${JSON.stringify(config(load.url))};`);
    args = ["--config", file];
  }
  const cli = await use(startCli([...args, "--port", "0", "--log-level", "error"], { openFiles: FILES }));
  expect((await load.call(cli.port)).status).toBe(200);
  return { cli, load, base: (await descriptors(cli.pid)).length };
}

/** What became of a client: the status of its answer, `closed`, or `waiting` in the system's queue. */
function fate({ received, socket }: RawClient): string {
  const status = /^HTTP\/1\.1 (\d{3})/.exec(received)?.[1];
  return status ?? (socket.destroyed || socket.readableEnded ? "closed" : "waiting");
}

async function until(check: () => boolean | Promise<boolean>, what: string, timeout = 8000): Promise<void> {
  const deadline = performance.now() + timeout;
  while (!(await check())) {
    if (performance.now() > deadline) throw new Error(`after ${timeout} ms still waiting for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test(
  `RL-02 ${CLIENTS} clients for a process with ${FILES} descriptors: some are served, the others hear of it, and afterwards all is as before`,
  { timeout: 40_000 },
  async () => {
    const { cli, load, base } = await setUp();
    for (let round = 0; round < 2; round++) {
      const clients: RawClient[] = [];
      const connecting = Array.from({ length: CLIENTS }, async () => {
        const client = await rawClient(cli.port);
        clients.push(client);
        client.send(plain("GET", "/mcp", "accept: text/event-stream\r\n"));
      });
      await Promise.all(connecting);
      await use(closeable({ close: async () => void (await Promise.all(clients.map((client) => client.close()))) }));
      await until(() => clients.every((client) => fate(client) !== "waiting"), "a fate for each client");
      const fates = clients.map(fate);
      expect([...new Set(fates)].filter((each) => !["200", "503", "closed"].includes(each))).toEqual([]);
      const served = clients.filter((client) => fate(client) === "200");
      expect(served.length).toBeGreaterThanOrEqual(20);
      for (const client of clients.filter((one) => fate(one) === "503"))
        expect(client.response()).toMatchObject({ headers: { "retry-after": "1", connection: "close" } });
      // Those who are served notice nothing of the others.
      await load.tick(50);
      await Promise.all(served.map((client) => client.receive(/"tick"/, { timeout: 5000 })));
      await load.tick(0);
      expect((await load.counts()).server).toBe(served.length);
      for (const client of clients) client.socket.destroy();
      await until(async () => (await descriptors(cli.pid)).length <= base, "the descriptors to be back");
      for (let i = 0; i < 10; i++) expect((await load.call(cli.port)).status).toBe(200);
    }
    expect(cli.process.exitCode).toBeNull();
    expect(cli.stderr()).not.toMatch(/uncaught|unhandled|panic/i);
  },
);

test("RL-02 no descriptor is left for a connection to the server: 503 with the id, and 200 when there is one again", async () => {
  const { cli } = await setUp((url) => ({
    servers: { one: { url: `${url}/mcp`, path: "/mcp" } },
    plugins: [],
    clientLimits: { connections: 1000 },
  }));
  // It takes the connection to the server that the first call has left.
  const listener = await use(rawClient(cli.port));
  listener.send(plain("GET"));
  await listener.receive(/: open/);
  const caller = await use(rawClient(cli.port));
  caller.send(plain("PUT"));
  await caller.receiveResponse();
  const idle: RawClient[] = [];
  await use(closeable({ close: async () => void (await Promise.all(idle.map((client) => client.close()))) }));
  // Until nothing is left: more of them change nothing.
  for (let open = 0, more = 3; more > 0;) {
    idle.push(await rawClient(cli.port));
    await new Promise((resolve) => setTimeout(resolve, 5));
    const now = (await descriptors(cli.pid)).length;
    if (now <= open && now > FILES - 8) more--;
    open = Math.max(open, now);
  }
  caller.send(post(call(7)));
  const answer = await caller.receiveResponse({ timeout: 5000 });
  expect(answer).toMatchObject({ status: 503, headers: { "retry-after": "1" } });
  expect(JSON.parse(answer.body)).toMatchObject({ id: 7, error: { data: { code: "OVERLOADED" } } });
  for (const client of idle) client.socket.destroy();
  await until(async () => {
    caller.send(post(call(8)));
    return (await caller.receiveResponse({ timeout: 5000 })).status === 200;
  }, "an answer");
  expect(cli.process.exitCode).toBeNull();
});
