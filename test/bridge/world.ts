/** A server, a proxy with `standard()`, and two clients with a key each; and what a sequence does with them. */
import type { ServerConfig } from "mcp-penstock";
import { createPenstock } from "../../core/index.ts";
import { apiKeys } from "../../plugins/api-keys.ts";
import { standard } from "../../plugins/standard.ts";
import { Asked } from "./client/asked.ts";
import type { ScriptedClient } from "./client/client.ts";
import { openClient } from "./client/index.ts";
import { judge } from "./judge.ts";
import { Gates, Ledger, isHeld } from "./ledger.ts";
import { type Op, type Sequence, isModern } from "./plan.ts";
import { type ScriptedServer, startServer } from "./server/index.ts";

const KEYS = ["key-of-client-0-abcdef", "key-of-client-1-ghijkl"];

export class World {
  readonly sequence: Sequence;
  readonly ledger = new Ledger();
  readonly gates = new Gates();
  readonly clients: ScriptedClient[] = [];
  /** Those that left, too. */
  readonly everyone: ScriptedClient[] = [];
  readonly calls = new Map<string, Asked>();
  #server!: ScriptedServer;
  #penstock!: ReturnType<typeof createPenstock>;
  #origin = "";
  #stop!: () => Promise<void>;
  /** After a restart nobody is told what changed meanwhile, nor need a server know who listened. */
  #hasRestarted = false;

  constructor(sequence: Sequence) {
    this.sequence = sequence;
  }

  /** @returns what was wrong */
  async run(): Promise<readonly string[]> {
    await this.#open();
    try {
      await Promise.all([0, 1].map((index) => this.#join(index)));
      for (const op of this.sequence.ops) {
        this.ledger.note(`— ${JSON.stringify(op).slice(0, 300)}`);
        await this.#perform(op);
      }
      this.gates.openAll();
      await this.#settle();
      judge(this);
    } catch (cause) {
      this.ledger.violation(String((cause as Error).stack));
    }
    await this.#close();
    return this.ledger.violations;
  }

  async #open(): Promise<void> {
    this.#server = await startServer(this.sequence.server, this.ledger, this.gates);
    const keys = { zero: KEYS[0]!, one: KEYS[1]! };
    this.#penstock = createPenstock({
      servers: { one: { ...this.#server.config, era: this.#era() } as ServerConfig },
      plugins: [apiKeys({ keys }), standard()],
      drainTimeout: 0,
    });
    const served = await this.#penstock.serve({ port: 0, drainTimeout: 0 });
    this.#origin = served.url;
    this.#stop = () => served.close();
  }

  /** Known beforehand, or found out. */
  #era(): ServerConfig["era"] {
    const { seed, server } = this.sequence;
    if (seed % 3 > 0) return "auto";
    return isModern(server) ? "modern" : "legacy";
  }

  async #join(index: number): Promise<void> {
    const { client: kind, ops } = this.sequence;
    const wantsChanges = ops.some(({ op }) => op === "changed");
    const client = await openClient(kind, index, this.ledger, this.#origin, KEYS[index]!, wantsChanges);
    this.clients[index] = client;
    this.everyone.push(client);
  }

  async #perform(op: Op): Promise<void> {
    const { ledger } = this;
    switch (op.op) {
      case "call":
        for (const call of op.calls) {
          const asked = new Asked(call);
          this.calls.set(call.nonce, asked);
          this.clients[call.client]!.start(asked);
        }
        return;
      case "open":
        return this.gates.open(op.nonce);
      case "settle":
        return this.#settle();
      case "list":
        return this.clients[op.client]!.list(op.method);
      case "level":
        return this.clients[op.client]!.setLevel(op.level);
      case "subscribe":
        return this.clients[op.client]!.subscribe(op.uri);
      case "unsubscribe":
        if (this.clients[op.client]!.subscribed.has(op.uri)) await this.clients[op.client]!.unsubscribe(op.uri);
        return;
      case "updated":
        return this.#updated(op.uri);
      case "changed":
        return this.#changed(op.what);
      case "cancel":
        return this.#cancel(op.nonce);
      case "lose": {
        const asked = this.calls.get(op.nonce);
        // A server that was restarted may have lost the session: then the call was answered that it did not run.
        if (!asked || !(await this.#isHeld(asked)) || asked.isOver) return;
        await this.clients[asked.call.client]!.lose(asked);
        return;
      }
      case "leave":
        return this.#leave(op.client);
      case "restart": {
        for (const asked of this.calls.values()) {
          if (asked.isOver) continue;
          if (!asked.isOver) await this.#isHeld(asked);
          asked.disturbed = true;
        }
        ledger.note("the server restarts");
        this.#hasRestarted = true;
        const processes = "command" in this.#server.config ? this.#server.connections() : 0;
        const exits = this.#exits();
        await this.#server.restart();
        // Until the proxy knows, calls still go to a process that is dying.
        await this.#poll(() => this.#exits() >= exits + processes, "the proxy knows that the processes ended");
        return;
      }
    }
  }

  /** Waits until a call stands at its gate, or has put a question that nobody answers. */
  #isHeld(asked: Asked): Promise<boolean> {
    const { call } = asked;
    return this.ledger.expect(
      () => this.ledger.runs.get(call.nonce)?.atGate === true || asked.isHeldAtQuestion || asked.isOver,
      `${call.nonce} is held`,
    );
  }

  async #cancel(nonce: string): Promise<void> {
    const asked = this.calls.get(nonce);
    if (!asked || !(await this.#isHeld(asked)) || asked.isOver) return;
    const run = this.ledger.runs.get(nonce)!;
    const { client, server } = this.sequence;
    const isAtGate = run.atGate;
    this.clients[asked.call.client]!.cancel(asked);
    // Between two rounds a modern server knows of no call, and a modern client tells nobody that there will be no other.
    if (!isAtGate && (isModern(client) || isModern(server))) return;
    await this.ledger.expect(() => run.cancelled > 0 && run.ended, `the server is told that ${nonce} is cancelled`);
  }

  async #leave(index: number): Promise<void> {
    const client = this.clients[index]!;
    for (const asked of client.calls.values())
      if (!asked.isOver && isHeld(asked.call, this.gates)) await this.#isHeld(asked);
    await client.leave(false);
    await this.#join(index);
  }

  async #updated(uri: string): Promise<void> {
    const subscribers = this.clients.filter(({ subscribed }) => subscribed.has(uri));
    await this.#told(subscribers, `notifications/resources/updated ${uri}`, "resourceSubscriptions", uri, () =>
      this.#server.updated(uri),
    );
  }

  async #changed(what: "tools" | "prompts" | "resources"): Promise<void> {
    await this.#told(this.clients, `notifications/${what}/list_changed`, `${what}ListChanged`, undefined, () =>
      this.#server.changed(what),
    );
  }

  async #told(
    clients: ScriptedClient[],
    news: string,
    kind: string,
    uri: string | undefined,
    tell: () => void,
  ): Promise<void> {
    if (this.#hasRestarted) return tell();
    const { ledger } = this;
    const listeners = `${clients.length} listeners for ${news}`;
    await ledger.expect(
      () => this.#server.ready(kind, uri) >= clients.length,
      () => `${listeners}: ${this.#server.ready(kind, uri)}`,
    );
    const counts = clients.map((client) => count(client, news));
    tell();
    await ledger.expect(
      () => clients.every((client, i) => count(client, news) > counts[i]!),
      () => `${clients.map(({ index }) => `client ${index}`).join(", ")} heard of ${news}`,
    );
  }

  /** All that is not held up comes to its end. */
  async #settle(): Promise<void> {
    const due = [...this.calls.values()].filter(({ call, disturbed }) => disturbed || !isHeld(call, this.gates));
    await this.ledger.expect(
      () => due.every((asked) => asked.isOver),
      () =>
        `the end of ${due
          .filter((asked) => !asked.isOver)
          .map(({ call }) => call.nonce)
          .join(", ")}`,
    );
    // A call whose client cannot come back goes on at the server.
    for (const { call, lost, left } of due)
      if (lost === "for good" && !left && !call.steps.some((step) => step.do === "ask"))
        await this.ledger.expect(
          () => this.ledger.runs.get(call.nonce)?.ended ?? false,
          `${call.nonce} ends at the server`,
        );
  }

  async #close(): Promise<void> {
    const { ledger } = this;
    const before = ledger.violations.length;
    await Promise.all(
      this.clients.map((client) =>
        client.leave(before === 0).catch((cause: unknown) => ledger.violation(String(cause))),
      ),
    );
    await this.#poll(
      () => this.#penstock.active === 0,
      () => `exchanges of the proxy end: ${this.#penstock.active}`,
    );
    await this.#stop();
    const server = this.#server;
    const left = () => `sessions ${server.sessions()}, at work ${server.busy()}, connections ${server.connections()}`;
    await this.#poll(
      () => server.connections() === 0 && server.busy() === 0 && server.sessions() === 0,
      () => `nothing is left at the server: ${left()}`,
    );
    await server.close();
  }

  #exits(): number {
    return (this.#penstock.report().one as { stdio?: { exits: number } } | undefined)?.stdio?.exits ?? 0;
  }

  /** For what tells nobody that it has changed. */
  async #poll(check: () => boolean, what: string | (() => string)): Promise<void> {
    const timer = setInterval(() => this.ledger.note(""), 10);
    await this.ledger.expect(check, what);
    clearInterval(timer);
  }
}

function count({ news }: ScriptedClient, what: string): number {
  return news.filter((one) => one === what).length;
}
