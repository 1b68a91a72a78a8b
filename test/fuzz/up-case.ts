/** One connection of a client with several requests, pipelined or not, good and bad; the server says which one it answers. */
import { MAX_BODY } from "./proxy.config.ts";
import { messageText, mutate, refusedOnPurpose } from "../core/json-texts.ts";
import type { Random } from "../core/random.ts";
import { type Damaged, damaged } from "./damage.ts";
import { Finding, type World } from "./down-case.ts";
import { field, readResponse } from "./http-reader.ts";
import { type Manner, pieces } from "./pieces.ts";
import { wireRequest } from "./requests.ts";
import type { Awaited } from "./server.ts";
import { Peer, show } from "./socket.ts";

interface Asked {
  id: string;
  method: string;
  bytes: Buffer;
  body: Buffer;
  /** Of the answer; 200 means that the server answers. */
  status: number;
  awaited: Awaited;
  answered: boolean;
}

export async function upCase(rnd: Random, manner: Manner, world: World): Promise<void> {
  const asked = Array.from({ length: 1 + rnd.int(4) }, (_, n) => makeRequest(rnd, manner, `${world.id}.${n}`));
  const last = rnd.chance(0.4)
    ? damaged(rnd, makeRequest(rnd, manner, `${world.id}.good`).bytes, `${world.id}.bad`)
    : undefined;
  const client = await Peer.connect(world.port);
  for (const { id, awaited } of asked) world.server.cases.set(id, awaited);
  try {
    await (rnd.chance(0.5) ? pipelined : inTurn)(rnd, manner, client, asked);
    // Bytes behind an answer are seen here too.
    if (client.input.length > 0) throw new Finding("bytes behind the last answer");
    if (last && !client.ended) await refused(rnd, manner, client, last);
    client.socket.end();
    await client.gone(() => "the end of an idle connection");
    if (!last && client.input.length > 0) throw new Finding("bytes behind the last answer");
    for (const one of asked) checkServer(one);
  } catch (error) {
    throw describe(asked, last, client, error as Error);
  } finally {
    client.socket.destroy();
    for (const { id } of asked) world.server.cases.delete(id);
  }
}

function makeRequest(rnd: Random, manner: Manner, id: string): Asked {
  const body = Buffer.from(bodyText(rnd));
  let [method, target, type, status] = [
    "POST",
    "/mcp",
    rnd.pick(["application/json", "Application/JSON; charset=utf-8", "application/json;x=y"]),
    body.length > MAX_BODY ? 413 : accepts(body) ? 200 : 400,
  ];
  const way = rnd.int(20);
  if (way === 0) [method, status] = [rnd.pick(["PUT", "PATCH", "OPTIONS"]), 405];
  if (way === 1) [target, status] = [rnd.pick(["/other", "/mcp/x", "/MCP"]), 404];
  if (way === 2) [target, status] = [rnd.pick(["//mcp", "/./mcp", "/%2e/mcp", "/a/../mcp"]), 400];
  if (way === 3)
    [type, status] = [
      rnd.pick(["text/plain", "application/jsonp", "text/plain;application/json", "application/x-www-form-urlencoded"]),
      415,
    ];
  const bytes = wireRequest(rnd, { method, target, id, type, body });
  const answer = Buffer.from(`{"jsonrpc":"2.0","id":1,"result":{"case":"${id}"}}`);
  const head = `HTTP/1.1 200 OK\r\nx-answer: ${id}\r\ncontent-type: application/json\r\ncontent-length: ${answer.length}\r\n\r\n`;
  const script = {
    pieces: pieces(rnd, Buffer.concat([Buffer.from(head), answer]), manner),
    ending: "keep" as const,
    spoilt: false,
  };
  return { id, method, bytes, body, status, awaited: { script, requests: [] }, answered: false };
}

function bodyText(rnd: Random): string | Buffer {
  const text = messageText(rnd);
  const way = rnd.int(10);
  if (way < 5) return text;
  if (way < 8) return mutate(rnd, text);
  if (way === 8)
    return rnd.pick([
      "",
      " ",
      "[]",
      `[${text}]`,
      `\uFEFF${text}`,
      `${text}${text}`,
      "null",
      `{"a":${"[".repeat(200)}${"]".repeat(200)}}`,
    ]);
  const bytes = Buffer.from(text);
  bytes[rnd.int(bytes.length)] = rnd.int(256);
  return bytes;
}

/** By `JSON.parse` and the list of what is refused although it parses. */
function accepts(body: Buffer): boolean {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body);
    JSON.parse(text);
    return !refusedOnPurpose(text);
  } catch {
    return false;
  }
}

async function pipelined(rnd: Random, manner: Manner, client: Peer, asked: readonly Asked[]): Promise<void> {
  await client.write(pieces(rnd, Buffer.concat(asked.map(({ bytes }) => bytes)), manner));
  for (const one of asked) if (!(await answered(client, one))) return;
}

async function inTurn(rnd: Random, manner: Manner, client: Peer, asked: readonly Asked[]): Promise<void> {
  for (const one of asked) {
    await client.write(pieces(rnd, one.bytes, manner));
    if (!(await answered(client, one))) return;
  }
}

/** @returns whether the connection goes on */
async function answered(client: Peer, one: Asked): Promise<boolean> {
  const { id, method, status } = one;
  const got = await client.until(
    () => readResponse(client.input, client.ended, method),
    () => `the answer to ${id}`,
  );
  if (!got) throw new Finding(`no answer to ${id}`);
  if (!got.whole) throw new Finding(`the answer to ${id} is cut`);
  if (got.status !== status) throw new Finding(`status ${got.status} in place of ${status} for ${id}`);
  const answer = field(got, "x-answer");
  if (answer !== (status === 200 ? id : undefined)) throw new Finding(`${id} got the answer to ${answer}`);
  const json = JSON.parse(got.body.toString()) as { result?: { case?: string }; error?: unknown };
  if (status === 200 ? json.result?.case !== id : json.error === undefined)
    throw new Finding(`${id} got ${show(got.body)}`);
  client.take(got.length);
  one.answered = true;
  if (field(got, "connection") !== "close") return true;
  await client.until(
    () => undefined,
    () => "the end that was announced",
  );
  return false;
}

/** Nothing of it reaches a server, nothing is answered as if it did, and the connection is not used for anything else. */
async function refused(rnd: Random, manner: Manner, client: Peer, { bytes, leaving }: Damaged): Promise<void> {
  await client.write(pieces(rnd, bytes, manner));
  if (leaving === "rst") return client.reset();
  // Where the damage leaves no doubt about where the request ends, the connection may go on; it needs no more than an answer.
  if (leaving === "stay")
    await client.until(
      () => readResponse(client.input, client.ended, "POST"),
      () => "an answer to a damaged request",
    );
  client.socket.end();
  await client.until(
    () => undefined,
    () => "the end of a connection with a damaged request",
  );
  for (;;) {
    const got = readResponse(client.input, true, "POST");
    if (!got) break;
    if (got.status < 400 || got.status === 502) throw new Finding(`status ${got.status} for a damaged request`);
    client.take(got.length);
  }
  if (client.input.length > 0) throw new Finding("bytes that are no answer");
}

function checkServer({ id, status, body, answered, awaited: { requests } }: Asked): void {
  const expected = status === 200 ? 1 : 0;
  // Behind an answer that ends the connection: it may not have been read any more.
  if (answered ? requests.length !== expected : requests.length > expected)
    throw new Finding(`the server was asked ${requests.length} times for ${id}`);
  if (requests[0] && !requests[0].body.equals(body))
    throw new Finding(`the server got another body for ${id}: ${show(requests[0].body)}`);
}

function describe(asked: readonly Asked[], last: Damaged | undefined, client: Peer, error: Error): Finding {
  const lines = [
    `${error.name === "Finding" ? "" : `${error.name}: `}${error.message}`,
    ...asked.map(({ id, status, bytes }) => `  asked     ${id}, expecting ${status}: ${show(bytes, 500)}`),
    ...(last ? [`  damaged   ${last.what}, then ${last.leaving}: ${show(last.bytes, 500)}`] : []),
    `  arrived   ${show(client.input)}`,
  ];
  return new Finding(lines.join("\n"), { cause: error });
}
