import { describe, expect, test } from "vitest";
import { type ConnectedV2, connectV2 } from "../_harness/clients.ts";
import { gate } from "../_harness/peers.ts";
import { bridge, standard } from "../_harness/plugins.ts";
import { startProxy } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { type AskingKind, startAskingServer } from "../_harness/servers/asking.ts";

const use = testScope();

const ALL = { elicitation: { form: {}, url: {} }, sampling: {}, roots: {} };

/** A client of the v2 SDK that answers whatever it is asked, in front of a server of the v1 SDK. */
async function connected(
  kind: AskingKind,
  mode: "auto" | "modern" = "modern",
  plugins: unknown = standard(),
): Promise<ConnectedV2> {
  const server = await use(startAskingServer(kind));
  const servers = { one: { ...server.config, era: "legacy", path: "/mcp" } };
  const proxy = await use(startProxy({ servers, plugins }));
  return use(
    connectV2(`${proxy.url}/mcp`, {
      mode,
      capabilities: ALL,
      prepare(client) {
        client.setRequestHandler("elicitation/create", ({ params }) =>
          params.mode === "url" ? { action: "accept" } : { action: "accept", content: { colour: "blue" } },
        );
        client.setRequestHandler("sampling/createMessage", () => ({
          role: "assistant",
          content: { type: "text", text: "an answer" },
          model: "m",
        }));
        client.setRequestHandler("roots/list", () => ({ roots: [{ uri: "file:///home", name: "home" }] }));
      },
    }),
  );
}

async function call({ client }: ConnectedV2, name: string, args: Record<string, unknown> = {}, options = {}) {
  const { content } = await client.callTool({ name, arguments: args }, options);
  return (content as { text: string }[])[0]!.text;
}

const FORM = { action: "accept", content: { colour: "blue" } };
const ROOTS = { roots: [{ uri: "file:///home", name: "home" }] };

describe.each<AskingKind>(["http", "sse", "stdio"])("a client of 2026-07-28 and a legacy server over %s", (kind) => {
  test("list and call, however the client finds out", async () => {
    for (const mode of ["auto", "modern"] as const) {
      const peer = await connected(kind, mode);
      expect(peer.client.getProtocolEra()).toBe("modern");
      expect(peer.client.getServerVersion()).toMatchObject({ name: "asking" });
      expect((await peer.client.listTools()).tools.map(({ name }) => name)).toContain("echo");
      expect(await call(peer, "echo", { text: "hello" })).toBe("hello");
    }
  });

  test("ask and answer: forms, pages, samples, roots", async () => {
    const peer = await connected(kind);
    expect(JSON.parse(await call(peer, "form"))).toEqual(FORM);
    expect(JSON.parse(await call(peer, "form-aside"))).toEqual(FORM);
    expect(JSON.parse(await call(peer, "url"))).toEqual({ action: "accept" });
    expect(JSON.parse(await call(peer, "sample"))).toMatchObject({ content: { text: "an answer" } });
    expect(JSON.parse(await call(peer, "roots"))).toEqual(ROOTS);
    expect(JSON.parse(await call(peer, "twice"))).toEqual({ first: FORM, second: ROOTS });
    expect(JSON.parse(await call(peer, "together"))).toEqual([FORM, ROOTS]);
    expect(await call(peer, "pages")).toBe("in");
  });

  test("two calls that ask at the same time", async () => {
    const peer = await connected(kind);
    const answers = await Promise.all([call(peer, "form"), call(peer, "roots"), call(peer, "form")]);
    expect(answers.map((text) => JSON.parse(text))).toEqual([FORM, ROOTS, FORM]);
  });

  test("report progress, and log what was asked for", async () => {
    const peer = await connected(kind);
    const steps: number[] = [];
    const onprogress = ({ progress }: { progress: number }) => steps.push(progress);
    expect(await call(peer, "progress", {}, { onprogress })).toBe("done");
    expect(steps).toEqual([1, 2, 3]);
    expect(await call(peer, "logs")).toBe("logged");
    expect(peer.notifications).toEqual([]);
    await peer.client.callTool({
      name: "logs",
      arguments: {},
      _meta: { "io.modelcontextprotocol/logLevel": "info" },
    } as never);
    expect(peer.notifications.map(({ params }) => params?.level)).toEqual(["info", "error"]);
  });

  test("cancel: the server stops", async () => {
    const peer = await connected(kind);
    const controller = new AbortController();
    const started = gate();
    const hanging = call(peer, "hang", {}, { signal: controller.signal, onprogress: () => started.open() });
    const failed = expect(hanging).rejects.toThrow();
    await started.promise;
    controller.abort();
    await failed;
    await expect.poll(async () => JSON.parse(await call(peer, "events"))).toEqual(["cancelled"]);
  });
});

test("calls that ask wait for one another where there may be no more processes", async () => {
  const peer = await connected("stdio", "modern", [bridge({ maxLeases: 1 })]);
  const answers = await Promise.all([call(peer, "form"), call(peer, "form-aside"), call(peer, "roots")]);
  expect(answers.map((text) => JSON.parse(text))).toEqual([FORM, FORM, ROOTS]);
});

test("a legacy server without sessions is used as it is", async () => {
  const peer = await connected("stateless");
  expect(await call(peer, "echo", { text: "hello" })).toBe("hello");
  const steps: number[] = [];
  await call(peer, "progress", {}, { onprogress: ({ progress }: { progress: number }) => steps.push(progress) });
  expect(steps).toEqual([1, 2, 3]);
});

test("the process that was asked which era it is of does not stay", async () => {
  const server = await use(startAskingServer("stdio"));
  const servers = { one: { ...server.config, path: "/mcp" } };
  const proxy = await use(startProxy({ servers, plugins: standard() }));
  const peer = await use(connectV2(`${proxy.url}/mcp`, { mode: "modern" }));
  await peer.client.listTools();
  const kinds = async () => {
    const health = (await (await fetch(`${proxy.url}/health`)).json()) as {
      servers: { one: { stdio: { processes: { kind: string }[] } } };
    };
    return health.servers.one.stdio.processes.map(({ kind }) => kind);
  };
  await expect.poll(kinds).toEqual(["session"]);
});
