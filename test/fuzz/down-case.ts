/** One connection of a client, some requests one after the other, and for each an answer of any kind. */
import type { Random } from "../core/random.ts";
import { type WireAnswer, wireAnswer } from "./answers.ts";
import { jsonBody, streamBody } from "./bodies.ts";
import { type Response, field, readResponse } from "./http-reader.ts";
import { type Asked, judge } from "./judge.ts";
import { posted } from "./messages.ts";
import { type Manner, pieces } from "./pieces.ts";
import type { Lane } from "./proxy.config.ts";
import { wireRequest } from "./requests.ts";
import type { Awaited, FuzzServer } from "./server.ts";
import { Peer, show, within } from "./socket.ts";

/** What a case needs of the world. */
export interface World {
  lane: Lane;
  /** Of the proxy of this lane. */
  port: number;
  server: FuzzServer;
  /** Unique in this run. */
  id: string;
}

/** What is wrong, and what was sent and came. */
export class Finding extends Error {
  override readonly name = "Finding";
}

interface Exchange extends Asked {
  id: string;
  request: Buffer[];
  script: Awaited["script"];
  /** The client leaves as soon as the head is there. */
  leaves: "fin" | "rst" | undefined;
}

export async function downCase(rnd: Random, manner: Manner, world: World): Promise<void> {
  let client: Peer | undefined;
  try {
    for (let n = rnd.int(3); n >= 0; n--) {
      const exchange = makeExchange(rnd, manner, world, n);
      if (client?.ended) client.socket.destroy();
      client = client && !client.ended ? client : await Peer.connect(world.port);
      await run(exchange, client, world);
    }
    if (!client!.ended) await leave(client!);
  } finally {
    client?.socket.destroy();
  }
}

function makeExchange(rnd: Random, manner: Manner, { lane, id }: World, n: number): Exchange {
  const isGet = rnd.chance(0.1);
  const message = isGet ? undefined : posted(rnd);
  const isStream = isGet || rnd.chance(0.6);
  const answer = wireAnswer(rnd, {
    status: isStream || rnd.chance(0.8) ? 200 : rnd.pick([400, 404, 500]),
    type: isStream
      ? rnd.pick(["text/event-stream", "text/event-stream; charset=utf-8", "TEXT/Event-Stream"])
      : rnd.pick(["application/json", "application/json;charset=utf-8", "text/plain"]),
    body: isStream ? streamBody(rnd, message) : jsonBody(rnd, message),
  });
  // Where more follows than was announced, a part of it may be a whole answer, and its connection is kept.
  const mayLeave = answer.what !== "more than was announced";
  const leaves = rnd.chance(0.05) && mayLeave ? rnd.pick(["fin", "rst"] as const) : undefined;
  // A client that leaves: the server says no more, so that only the client's going can end its connection.
  if (leaves) Object.assign(answer, { ending: "hold", spoilt: true });
  const exchangeId = `${id}.${n}`;
  const request = wireRequest(rnd, {
    method: isGet ? "GET" : "POST",
    target: "/mcp",
    id: exchangeId,
    type: "application/json",
    body: message && Buffer.from(message.text),
  });
  const wire = leaves ? answer.wire.subarray(0, rnd.int(answer.wire.length)) : answer.wire;
  return {
    id: exchangeId,
    lane,
    posted: message,
    answer,
    leaves,
    request: pieces(rnd, request, manner),
    script: { pieces: pieces(rnd, wire, manner, answer.together), ending: answer.ending, spoilt: answer.spoilt },
  };
}

async function run(exchange: Exchange, client: Peer, { server }: World): Promise<void> {
  const { id, script, answer, request } = exchange;
  const awaited: Awaited = { script, requests: [] };
  server.cases.set(id, awaited);
  try {
    if (exchange.leaves) return await leaveEarly(exchange, client, awaited);
    await client.write(request);
    const method = exchange.posted ? "POST" : "GET";
    const read = (): Response | undefined => readResponse(client.input, client.ended, method);
    const got = await client.until(read, () => "an answer");
    if (!got) throw new Finding("the connection ended without an answer");
    const wrong = judge(exchange, got);
    if (wrong !== undefined) throw new Finding(wrong);
    if (awaited.requests.length !== 1) throw new Finding(`the server was asked ${awaited.requests.length} times`);
    if (exchange.posted && !awaited.requests[0]!.body.equals(Buffer.from(exchange.posted.text)))
      throw new Finding("the server got another body");
    client.take(got.length);
    // The end may follow in the next packet.
    if (!got.whole || field(got, "connection") === "close")
      await client.until(
        () => undefined,
        () => "the end of the connection",
      );
    if (answer.spoilt || answer.ending !== "keep")
      await awaited.peer!.gone(() => "the end of a spoilt connection to the server");
  } catch (error) {
    throw describe(exchange, client, error as Error);
  } finally {
    server.cases.delete(id);
  }
}

/** A client that is gone, in whatever phase, ends the request at the server. */
async function leaveEarly({ leaves, request }: Exchange, client: Peer, awaited: Awaited): Promise<void> {
  const asked = new Promise<void>((resolve) => (awaited.arrived = resolve));
  await client.write(request);
  await within(asked, () => "the request at the server");
  if (leaves === "fin") client.socket.end();
  else client.reset();
  await awaited.peer?.gone(() => `the end at the server after the client's ${leaves}`);
  client.socket.destroy();
  client.ended = true;
}

async function leave(client: Peer): Promise<void> {
  if (client.input.length > 0) throw new Finding(`bytes behind the last answer: ${show(client.input)}`);
  client.socket.end();
  await client.gone(() => "the end of an idle connection");
  if (client.input.length > 0) throw new Finding(`bytes behind the last answer: ${show(client.input)}`);
}

function describe({ id, posted, answer, request, leaves }: Exchange, client: Peer, error: Error): Finding {
  const lines = [
    `${error.name === "Finding" ? "" : `${error.name}: `}${error.message}`,
    `  exchange  ${id}: ${posted ? `${posted.method} ${posted.id}` : "GET"}, answered ${answer.type}, ${answer.what}, then ${answer.ending}${leaves ? `, the client leaves (${leaves})` : ""}`,
    `  asked     ${show(Buffer.concat(request), 600)}`,
    `  answer    ${show(answer.wire)}`,
    `  arrived   ${show(client.input)}`,
  ];
  return new Finding(lines.join("\n"), { cause: error });
}

export type { WireAnswer };
