import { createPenstock } from "mcp-penstock";
import { expect, test } from "vitest";
import { startNaiveRelay } from "../_harness/naive-relay.ts";
import { testScope } from "../_harness/scope.ts";
import { fuzz } from "./fuzzer.ts";
import { startInProcess } from "./lanes.ts";
import { LANES, type Lane } from "./proxy.config.ts";
import { startServer } from "./server.ts";

const use = testScope();
const onAll = (port: number) => Object.fromEntries(LANES.map((lane) => [lane, port])) as Record<Lane, number>;

test("two seconds of the fuzzer find nothing", async () => {
  const server = await use(startServer());
  const { ports, accidents } = await use(startInProcess(server.url));
  const { cases, failures } = await fuzz({ seed: 1, seconds: 2, server, ports });
  expect(failures).toEqual([]);
  expect(accidents()).toEqual([]);
  expect(cases).toBeGreaterThan(20);
});

test("a relay as people write one by hand is found out", async () => {
  const server = await use(startServer());
  const relay = await use(startNaiveRelay([["/mcp", server.url]]));
  const { failures } = await fuzz({ seed: 1, seconds: 5, server, ports: onAll(relay.port) });
  expect(failures).toHaveLength(1);
});

test("a transform that loses a byte now and then is found out, and its seed finds it again", async () => {
  const server = await use(startServer());
  const ports = {} as Record<Lane, number>;
  for (const lane of LANES) {
    const penstock = createPenstock({
      servers: { fuzzed: { url: server.url, path: "/mcp" } },
      plugins: [
        {
          name: "lossy",
          body: () => ({
            write: (chunk, sink) => sink.emit(chunk.at(-1) === 0x0d ? chunk.subarray(0, -1) : chunk),
          }),
        },
      ],
    });
    const listening = await penstock.serve({ port: 0 });
    await use({ close: () => listening.close(), [Symbol.asyncDispose]: () => listening.close() });
    ports[lane] = listening.port;
  }
  // The lane without hooks alone: a lost line end is one byte of very many, and nothing but a comparison of all shows it.
  const found = await fuzz({ seed: 1, seconds: 8, server, ports, lanes: ["raw"] });
  expect(found.failures).toHaveLength(1);
  const again = await fuzz({ seed: found.failures[0]!.seed, cases: 1, seconds: 8, server, ports, lanes: ["raw"] });
  expect(again.failures[0]?.text.split("\n")[0]).toBe(found.failures[0]!.text.split("\n")[0]);
});
