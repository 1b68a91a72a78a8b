/** Servers that are started by a command, and a client that shows what it is answered. */
import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { journal } from "./journal.ts";
import { closeable } from "./loopback.ts";
import { within } from "./wait.ts";

export const CHILD: string = fileURLToPath(new URL("servers/stdio-child.mjs", import.meta.url));

/** A server whose lists and resources change, as a configuration has it: modern, of SDK v2. */
export const CHANGING = {
  command: process.execPath,
  args: [fileURLToPath(new URL("servers/stdio-changing.mjs", import.meta.url))],
};

/** A scripted server, as a configuration has it. @param options see `servers/stdio-child.mjs` @param more of its configuration */
export function stdioServer(options: readonly string[] = [], more: object = {}) {
  return { command: process.execPath, args: [CHILD, ...options], path: "/mcp", ...more };
}

export interface Rpc {
  id?: string | number;
  method?: string;
  params?: Record<string, any>;
  result?: any;
  error?: { code: number; message: string; data?: { code: string } };
}

/** An answer, whole. */
export interface Answered {
  status: number;
  headers: Headers;
  /** Every message of it, in order; the response is the last. */
  messages: Rpc[];
  response: Rpc;
}

/** One session with a server, asked by `fetch`. */
export class StdioClient {
  readonly url: string;
  session: string | undefined;
  #id = 0;

  constructor(url: string) {
    this.url = new URL(url).pathname === "/" ? `${url}/mcp` : url;
  }

  /** Initialises. */
  static async open(url: string): Promise<StdioClient> {
    const client = new StdioClient(url);
    const { status, headers, response } = await client.initialize();
    if (status !== 200 || response?.result === undefined)
      throw new Error(`initialize was answered with ${status} ${JSON.stringify(response)}`);
    client.session = headers.get("mcp-session-id")!;
    await client.send({ method: "notifications/initialized" });
    return client;
  }

  initialize(): Promise<Answered> {
    const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "t", version: "1" } };
    return this.request("initialize", params);
  }

  request(method: string, params: object = {}, id: string | number = this.#id++): Promise<Answered> {
    return this.post(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
  }

  call(name: string, args: object = {}, id?: string | number): Promise<Answered> {
    return this.request("tools/call", { name, arguments: args }, id);
  }

  /** The text that a tool answers with. */
  async text(name: string, args: object = {}): Promise<string> {
    const { status, response } = await this.call(name, args);
    if (!response?.result?.content) throw new Error(`${name} was answered with ${status} ${JSON.stringify(response)}`);
    return response.result.content[0]?.text;
  }

  /** A notification or a response. @returns its status */
  async send(message: Rpc): Promise<number> {
    return (await this.post(JSON.stringify({ jsonrpc: "2.0", ...message }))).status;
  }

  async post(body: string, more: Record<string, string> = {}): Promise<Answered> {
    const { status, headers, text } = await this.#fetch("POST", { ...more, "content-type": "application/json" }, body);
    const texts = headers.get("content-type")?.startsWith("text/event-stream")
      ? [...text.matchAll(/^data: ([^\n]+)$/gm)].map(([, data]) => data!)
      : text === ""
        ? []
        : [text];
    const messages = texts.map((one) => JSON.parse(one) as Rpc);
    return { status, headers, messages, response: messages.at(-1)! };
  }

  async end(): Promise<number> {
    return (await this.#fetch("DELETE")).status;
  }

  /** The GET stream. */
  async listen() {
    const controller = new AbortController();
    const { status, body } = await fetch(this.url, {
      headers: { accept: "text/event-stream", ...this.#fields() },
      signal: controller.signal,
    });
    const got = journal<Rpc>((message) => JSON.stringify(message));
    const reading = (async () => {
      let rest = "";
      const decoder = new TextDecoder();
      for await (const chunk of body!) {
        const events = (rest + decoder.decode(chunk, { stream: true })).split("\n\n");
        rest = events.pop()!;
        for (const event of events) {
          const data = /^data: ([^\n]*)/m.exec(event)?.[1];
          if (data) got.add(JSON.parse(data) as Rpc);
        }
      }
    })().catch(() => {});
    return closeable({
      status,
      got,
      ended: reading,
      async close() {
        controller.abort();
        await reading;
      },
    });
  }

  #fields(): Record<string, string> {
    return this.session === undefined ? {} : { "mcp-session-id": this.session, "mcp-protocol-version": "2025-11-25" };
  }

  async #fetch(method: string, headers: Record<string, string> = {}, body?: string) {
    const answer = await fetch(this.url, {
      method,
      headers: { accept: "application/json, text/event-stream", ...this.#fields(), ...headers },
      body,
    });
    let text = "";
    const decoder = new TextDecoder();
    try {
      for await (const chunk of answer.body ?? []) text += decoder.decode(chunk, { stream: true });
    } catch {
      // Cut, as an answer is that broke; what came before tells why.
    }
    return { status: answer.status, headers: answer.headers, text };
  }
}

/** Pids of the processes that a process has started and that run. */
export function childrenOf(pid: number): number[] {
  const tasks = `/proc/${pid}/task`;
  return readdirSync(tasks)
    .flatMap((task) => readFileSync(`${tasks}/${task}/children`, "utf8").match(/\d+/g) ?? [])
    .map(Number)
    .filter(isAlive);
}

/** Of a group. */
export function membersOf(group: number): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && statOf(name)?.group === group)
    .map(Number)
    .filter(isAlive);
}

/** It runs; a zombie does not. */
export function isAlive(pid: number): boolean {
  const state = statOf(String(pid))?.state;
  return state !== undefined && state !== "Z" && state !== "X";
}

/** Waits until none of these runs. */
export async function gone(pids: readonly number[], timeout = 2000): Promise<void> {
  const all = (async () => {
    while (pids.some(isAlive)) await new Promise((resolve) => setTimeout(resolve, 10));
  })();
  await within(all, () => `the end of ${pids.filter(isAlive).join(", ")}`, { timeout });
}

function statOf(pid: string): { state: string; group: number } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const [state, , group] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return { state: state!, group: Number(group) };
  } catch {
    return undefined;
  }
}
