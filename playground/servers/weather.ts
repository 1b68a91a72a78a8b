/**
 * A demo MCP server of the *modern* era (protocol 2026-07-28), on version 2 of the TypeScript SDK.
 *
 * It is stateless: no handshake, no session id, every request carries all it needs and gets a server object of its own.
 * Legacy clients are served too, one request at a time; they get no session and no GET stream here.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { toNodeHandler } from "@modelcontextprotocol/node";
import { createMcpHandler, McpServer } from "@modelcontextprotocol/server";
import { z } from "zod";
import { type DemoServer, listen } from "./listen.ts";

const SKIES = ["sunny", "cloudy", "rainy", "windy", "foggy"] as const;
const SLOW_STEPS = [
  "Asking the satellites",
  "Reading the barometer",
  "Counting clouds",
  "Drawing isobars",
  "Looking out of the window",
];
const SLOW_STEP_MS = 400;

const Day = z.object({ day: z.number(), sky: z.enum([...SKIES, "snowy"]), celsius: z.number() });
type Day = z.infer<typeof Day>;
const Forecast = z.object({ city: z.string(), days: z.array(Day) });
const city = z.string().min(1).describe("Any city; the weather is made up");

/** Starts the weather server on loopback. */
export async function startWeatherServer({ port = 0 } = {}): Promise<DemoServer> {
  const handler = createMcpHandler(createWeather, { legacy: "stateless" });
  return listen({ port, handle: toNodeHandler(handler), stop: () => handler.close() });
}

/** Called for every request; a stateless server must not remember anything between two of them. */
function createWeather(): McpServer {
  const server = new McpServer({ name: "weather", version: "1.0.0" });

  server.registerTool(
    "forecast",
    {
      description: "The made-up weather of the next days, always the same for the same city.",
      inputSchema: z.object({ city, days: z.number().int().min(1).max(14).default(3) }),
      outputSchema: Forecast,
    },
    (args) => report(args.city, args.days),
  );

  server.registerTool(
    "slow_forecast",
    {
      description: "Tomorrow's weather, with progress on the way.",
      inputSchema: z.object({ city }),
      outputSchema: Forecast,
    },
    async (args, { mcpReq }) => {
      const progressToken = mcpReq._meta?.progressToken;
      for (const [index, message] of SLOW_STEPS.entries()) {
        await sleep(SLOW_STEP_MS, undefined, { signal: mcpReq.signal }); // modern clients cancel by closing the response stream
        if (progressToken === undefined) continue;
        // The first notification turns the answer into an event stream; without one it stays a single JSON body.
        const params = { progressToken, progress: index + 1, total: SLOW_STEPS.length, message };
        await mcpReq.notify({ method: "notifications/progress", params });
      }
      return report(args.city, 1);
    },
  );

  return server;
}

/** The same forecast twice: as text for the model, and as data for programs. */
function report(place: string, count: number) {
  const days = Array.from({ length: count }, (_, index) => weatherOf(place, index + 1));
  const lines = days.map(({ day, sky, celsius }) => `Day ${day}: ${sky}, ${celsius} °C`);
  return {
    content: [{ type: "text" as const, text: [`Weather in ${place}:`, ...lines].join("\n") }],
    structuredContent: { city: place, days },
  };
}

function weatherOf(place: string, day: number): Day {
  const seed = hash(`${place.toLowerCase()}#${day}`);
  const celsius = ((seed >>> 8) % 40) - 5;
  const sky = celsius < 1 ? "snowy" : (SKIES[seed % SKIES.length] ?? "sunny");
  return { day, sky, celsius };
}

/** FNV-1a: small, and the same on every machine. */
function hash(value: string): number {
  let sum = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(value)) sum = Math.imul(sum ^ byte, 0x01000193) >>> 0;
  return sum;
}
