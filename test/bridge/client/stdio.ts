/** Clients over stdio, through what `penstock connect` runs. */
import { PassThrough } from "node:stream";
import { createPenstock } from "../../../core/index.ts";
import { StdioFront } from "../../../core/front/stdio.ts";
import { standard } from "../../../plugins/standard.ts";
import { META, type Wire } from "../server/messages.ts";
import type { Endpoint } from "./http.ts";
import type { LegacyTaker, LegacyWire } from "./legacy.ts";
import type { ModernWire } from "./modern.ts";

/** What makes no sense where nothing listens: as in the command. */
const FOR_LISTENERS = ["host-guard", "mounts", "oauth-root", "oauth-relay", "health", "sse-relay"];

class Lines {
  readonly #input = new PassThrough();
  readonly #penstock;
  readonly #front: StdioFront;

  constructor({ url, key }: Endpoint, onLine: (line: string) => void) {
    const plugins = standard().filter(({ name }) => !FOR_LISTENERS.includes(name));
    this.#penstock = createPenstock({
      servers: { main: { url, headers: { "x-api-key": key }, path: "/mcp" } },
      plugins,
    });
    const output = new PassThrough();
    let rest = "";
    output.setEncoding("utf8").on("data", (piece: string) => {
      const lines = (rest + piece).split("\n");
      rest = lines.pop()!;
      for (const line of lines) onLine(line);
    });
    this.#front = new StdioFront(this.#penstock, "main", { input: this.#input, output, userAgent: "model" });
  }

  ready(): Promise<void> {
    return this.#penstock.ready();
  }

  say(line: string): void {
    this.#input.write(`${line}\n`);
  }

  /** @param well stdin is closed, and what is due is waited for; else the process is told to stop */
  async close(well: boolean): Promise<void> {
    if (well) {
      this.#input.end();
      await this.#front.gone;
      await this.#front.finish(1000);
    }
    await this.#front.close(1500);
    await this.#penstock.close();
  }
}

export class LegacyStdio implements LegacyWire {
  readonly #lines: Lines;
  #taker: LegacyTaker | undefined;

  constructor(endpoint: Endpoint) {
    this.#lines = new Lines(endpoint, (line) => this.#taker?.hear(line));
  }

  open(taker: LegacyTaker): Promise<void> {
    this.#taker = taker;
    return this.#lines.ready();
  }

  request(raw: string): void {
    this.#lines.say(raw);
  }

  async tell(raw: string): Promise<void> {
    this.#lines.say(raw);
  }

  async listen(): Promise<void> {}

  close(well: boolean): Promise<void> {
    return this.#lines.close(well);
  }
}

export class ModernStdio implements ModernWire {
  readonly #lines: Lines;
  readonly #open = new Map<string, (raw: string) => void>();
  onStray?: (raw: string) => void;

  constructor(endpoint: Endpoint) {
    this.#lines = new Lines(endpoint, (line) => this.#hear(line));
  }

  open(): Promise<void> {
    return this.#lines.ready();
  }

  request(raw: string, hear: (raw: string) => void): () => void {
    const { id } = JSON.parse(raw) as Wire;
    this.#open.set(JSON.stringify(id), hear);
    this.#lines.say(raw);
    return () => {
      const params = { requestId: id };
      this.#lines.say(JSON.stringify({ jsonrpc: "2.0", method: "notifications/cancelled", params }));
    };
  }

  close(well: boolean): Promise<void> {
    return this.#lines.close(well);
  }

  #hear(raw: string): void {
    const { id, method, params, result } = JSON.parse(raw) as Wire;
    const of = method === undefined ? id : (params?._meta?.[`${META}subscriptionId`] ?? params?.progressToken);
    void result;
    const take = this.#open.get(JSON.stringify(of));
    if (take) take(raw);
    else this.onStray?.(raw);
  }
}
