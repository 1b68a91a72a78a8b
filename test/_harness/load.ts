import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { type Closeable, closeable } from "./loopback.ts";
import { within } from "./wait.ts";

/** How late events arrived, in milliseconds. */
export interface Lateness {
  count: number;
  p50: number;
  p99: number;
  max: number;
}

/** A server and a client for many streams, each in a process of its own. */
export interface Load extends Closeable {
  /** Of the server. */
  readonly url: string;
  /** Opens streams through a proxy. @returns milliseconds until all of them had their first bytes */
  open(port: number, count: number): Promise<number>;
  /** Resets all streams of the client. */
  closeStreams(): Promise<void>;
  /** How many streams the server and the client have. */
  counts(): Promise<{ server: number; client: number }>;
  /** Every stream gets an event every so many milliseconds; 0 ends it. */
  tick(every: number): Promise<void>;
  /** How late the events since the last call were. */
  ticks(): Promise<Lateness>;
  /** One call on a connection of its own. @param bytes that its answer is asked to have */
  call(port: number, bytes?: number): Promise<{ ms: number; status: number; bytes: number }>;
}

const script = fileURLToPath(new URL("load-peers.mjs", import.meta.url));
/** Thousands of streams on a busy machine. */
const ANSWER_MS = 60_000;

/** Starts both processes, on the Node of the tests. */
export async function startLoad(): Promise<Load> {
  const [server, client] = [start("server"), start("client")];
  const port = (await server.ask("listen")) as number;
  return closeable({
    url: `http://127.0.0.1:${port}`,
    open: async (port: number, count: number) => (await client.ask("open", { port, count })) as number,
    closeStreams: async () => void (await client.ask("close")),
    counts: async () => ({
      server: (await server.ask("count")) as number,
      client: (await client.ask("count")) as number,
    }),
    tick: async (every: number) => void (await server.ask("tick", { every })),
    ticks: async () => (await client.ask("ticks")) as Lateness,
    call: async (port: number, bytes = 0) =>
      (await client.ask("call", { port, bytes })) as { ms: number; status: number; bytes: number },
    async close() {
      await Promise.all([server.stop(), client.stop()]);
    },
  });
}

function start(role: "server" | "client") {
  const child: ChildProcess = spawn(process.execPath, [script, role], { stdio: ["pipe", "pipe", "inherit"] });
  const orphaned = () => void child.kill("SIGKILL");
  process.once("exit", orphaned);
  const asked = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>();
  let count = 0;
  createInterface({ input: child.stdout! }).on("line", (line) => {
    const { id, result, error } = JSON.parse(line) as { id: number; result?: unknown; error?: string };
    if (error === undefined) asked.get(id)?.resolve(result);
    else asked.get(id)?.reject(new Error(error));
    asked.delete(id);
  });
  return {
    ask(what: string, args: object = {}): Promise<unknown> {
      const id = count++;
      const answer = new Promise((resolve, reject) => asked.set(id, { resolve, reject }));
      child.stdin!.write(`${JSON.stringify({ id, what, ...args })}\n`);
      return within(answer, `${role}: ${what}`, { timeout: ANSWER_MS });
    },
    async stop() {
      process.off("exit", orphaned);
      const exited = once(child, "close");
      child.kill("SIGKILL");
      await exited;
    },
  };
}
