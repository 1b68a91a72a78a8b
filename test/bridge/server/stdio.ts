/** The scripted servers over stdio: processes that relay their messages to this one. */
import { type Socket, createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { listen, stop } from "../../_harness/loopback.ts";
import type { Gates, Ledger } from "../ledger.ts";
import { countReady } from "./http.ts";
import type { ScriptedServer } from "./index.ts";
import { LegacyBrain } from "./legacy.ts";
import type { Wire } from "./messages.ts";
import { ModernBrain } from "./modern.ts";

const PIPE = fileURLToPath(new URL("pipe.mjs", import.meta.url));

/** @param onProcess is told of each process, and returns what takes its lines and its end */
async function processes(
  onProcess: (say: (line: string) => void) => { line(text: string): void; over(lost: boolean): void },
) {
  const sockets = new Set<Socket>();
  const falling = new WeakSet<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    const { line, over } = onProcess((text) => void (socket.writable && socket.write(`${text}\n`)));
    let rest = "";
    socket.setEncoding("utf8").on("data", (piece: string) => {
      const lines = (rest + piece).split("\n");
      rest = lines.pop()!;
      for (const each of lines) line(each);
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      sockets.delete(socket);
      over(falling.has(socket));
    });
  });
  const port = await listen(server);
  const kill = () => {
    for (const socket of sockets) {
      falling.add(socket);
      socket.destroy();
    }
  };
  return {
    config: { command: process.execPath, args: [PIPE, String(port)] },
    connections: () => sockets.size,
    async restart() {
      kill();
      await new Promise((resolve) => setImmediate(resolve));
    },
    async close() {
      kill();
      await stop(server);
    },
  };
}

export async function legacyStdio(ledger: Ledger, gates: Gates): Promise<ScriptedServer> {
  const brain = new LegacyBrain(ledger, gates);
  const served = await processes((write) => {
    const session = brain.open((message) => {
      write(message);
      return true;
    });
    return {
      line: (text) => brain.receive(session, text, { send: write, respond: write, end() {} }),
      over: (lost) => brain.end(session, lost),
    };
  });
  return {
    ...served,
    changed: (what) => brain.changed(what),
    updated: (uri) => brain.updated(uri),
    ready: (_kind, uri) => countReady(brain, uri),
    sessions: () => [...brain.sessions.values()].filter(({ ready }) => ready).length,
    busy: () => [...brain.sessions.values()].reduce((sum, { calls }) => sum + calls.size, 0),
  };
}

export async function modernStdio(ledger: Ledger, gates: Gates): Promise<ScriptedServer> {
  const brain = new ModernBrain(ledger, gates);
  const served = await processes((write) => {
    const open = new Map<string, AbortController>();
    return {
      line(raw) {
        const { id, method, params } = JSON.parse(raw) as Wire;
        if (method === "notifications/cancelled") {
          const key = JSON.stringify(params!.requestId);
          open.get(key)?.abort();
          open.delete(key);
          return;
        }
        const key = JSON.stringify(id);
        const gone = new AbortController();
        if (id !== undefined) open.set(key, gone);
        const respond = (message: string) => {
          open.delete(key);
          write(message);
        };
        brain.receive(raw, { send: write, respond, end: () => void open.delete(key), gone: gone.signal });
      },
      over(lost) {
        if (lost) brain.fall();
        for (const gone of open.values()) gone.abort();
      },
    };
  });
  return {
    ...served,
    changed: (what) => brain.changed(what),
    updated: (uri) => brain.updated(uri),
    ready: (kind, uri) => brain.listeners(kind, uri),
    sessions: () => 0,
    busy: () => brain.open.size + brain.listening.size,
  };
}
