// The two ways in which an MCP client talks over HTTP, as far as the load generator needs them. Both have
// `call(slot, id, json)`: the text of the answer to one message. Slots are connections; each has one call at a time.
import { connect } from "node:net";
import { Connection, request, requestHead } from "../http1.mjs";
import { modernVersion, protocolVersion, requestHeaders } from "../workloads.mjs";

const types = { Accept: "application/json, text/event-stream", "Content-Type": "application/json" };

/** Streamable HTTP: the answer comes with the POST, as JSON or as an event stream. */
export class StreamableHttp {
  #connections;
  #head;
  #session;

  constructor(url, slots) {
    this.url = url;
    this.#head = requestHead("POST", url, types);
    this.#connections = Array.from({ length: slots }, () => new Connection(url));
  }

  async call(slot, id, json) {
    const { status, head, body } = await this.#connections[slot].ask(request(this.#head, json));
    if (status >= 300) throw new Error(`status ${status}`);
    if (!this.#session) {
      this.#session = /\nmcp-session-id: *([^\r\n]+)/i.exec(head)?.[1];
      if (!this.#session) throw new Error("the answer to initialize has no session");
      this.#head = requestHead("POST", this.url, requestHeaders(this.#session));
    }
    return body;
  }

  /** Ends the session, so that a proxy can let go what it keeps for it. */
  async close() {
    await this.#connections[0].ask(request(requestHead("DELETE", this.url, requestHeaders(this.#session))));
  }
}

/** Streamable HTTP of 2026-07-28: no session, and headers that repeat what the body says. */
export class ModernHttp {
  #connections;
  #heads = new Map();

  constructor(url, slots) {
    this.url = url;
    this.#connections = Array.from({ length: slots }, () => new Connection(url));
  }

  async call(slot, id, json) {
    const method = /"method":"([^"]+)"/.exec(json)[1];
    let head = this.#heads.get(method);
    if (!head) {
      const name = method === "tools/call" ? { "Mcp-Name": JSON.parse(json).params.name } : {};
      const headers = { ...types, "MCP-Protocol-Version": modernVersion, "Mcp-Method": method, ...name };
      this.#heads.set(method, (head = requestHead("POST", this.url, headers)));
    }
    const { status, body } = await this.#connections[slot].ask(request(head, json));
    if (status >= 300) throw new Error(`status ${status}, ${body.slice(0, 120)}`);
    return body;
  }

  /** There is nothing to end. */
  close() {}
}

/** HTTP+SSE of 2024-11-05: one event stream, which names the address for POSTs and carries all answers. */
export class HttpSse {
  #connections;
  #waiting = new Map();
  #head;

  constructor(url, slots) {
    this.#connections = Array.from({ length: slots }, () => new Connection(url));
    const { hostname, port } = new URL(url);
    const headers = { ...types, "MCP-Protocol-Version": protocolVersion };
    const stream = connect({ host: hostname, port: Number(port), noDelay: true });
    stream.setEncoding("utf8").write(request(requestHead("GET", url, { Accept: "text/event-stream" })));
    this.#head = new Promise((done, fail) => {
      const broken = (error) => (fail(error), this.#waiting.forEach((waiting) => waiting.fail(error)));
      stream.on("error", broken).on("close", () => broken(new Error("stream closed")));
      let rest = "";
      stream.on("data", (text) => {
        const lines = (rest + text).split("\n");
        rest = lines.pop();
        for (const line of lines) {
          if (!line.startsWith("data:")) continue;
          const data = line.slice(5).trim();
          if (data.startsWith("{")) this.#take(data);
          else done(requestHead("POST", new URL(data, url).href, headers));
        }
      });
    });
  }

  #take(text) {
    const id = Number(/"id":(\d+)/.exec(text)?.[1]);
    this.#waiting.get(id)?.done(text);
    this.#waiting.delete(id);
  }

  async call(slot, id, json) {
    const head = await this.#head;
    const answer = id === undefined ? "" : new Promise((done, fail) => this.#waiting.set(id, { done, fail }));
    const { status } = await this.#connections[slot].ask(request(head, json));
    if (status >= 300) throw new Error(`status ${status}`);
    return answer;
  }

  /** The session ends with the stream, which ends with this process. */
  close() {}
}
