/**
 * A demo MCP server of the *legacy* era (protocol 2025-11-25 and older), on version 1 of the TypeScript SDK.
 *
 * It has sessions: `initialize` hands out an `Mcp-Session-Id`, and each session keeps its own notes in memory.
 * A client can therefore see what a proxy has to carry: the id, the standalone GET stream, requests from the server, DELETE.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import {
  type CallToolResult,
  SetLevelRequestSchema,
  SubscribeRequestSchema,
  UnsubscribeRequestSchema,
} from "@modelcontextprotocol/sdk/types.js";
import { z } from "zod";
import { type DemoServer, listen } from "./listen.ts";
import { withSessions } from "./sessions.ts";

const ALL_NOTES = "notes://all";

/** Starts the notes server on loopback. */
export async function startNotesServer({ port = 0 } = {}): Promise<DemoServer> {
  return listen({ port, ...withSessions(createNotes) });
}

/** One MCP server per session: this is what keeps the notes of two clients apart. */
function createNotes(): McpServer {
  const notes = new Map<number, string>();
  let lastId = 0;
  let subscribed = false;
  let verbose = true;

  const server = new McpServer(
    { name: "notes", version: "1.0.0" },
    {
      capabilities: { logging: {}, resources: { subscribe: true } },
      instructions: "A notebook that lives as long as your session.",
    },
  );

  const add = (note: string): number => {
    notes.set(++lastId, note);
    return lastId;
  };
  const listing = (): string => [...notes].map(([id, note]) => `${id}. ${note}`).join("\n") || "No notes yet.";
  /** Belongs to no request, so it travels on the session's standalone GET stream. */
  const changed = async (): Promise<void> => {
    if (subscribed) await server.server.sendResourceUpdated({ uri: ALL_NOTES });
  };

  server.registerTool(
    "add_note",
    {
      description: "Save a note.",
      inputSchema: { text: z.string().min(1).describe("What to remember") },
    },
    async (args) => {
      const id = add(args.text);
      await changed();
      return text(`Saved note ${id}.`);
    },
  );

  server.registerTool("list_notes", { description: "List all notes of this session." }, () => text(listing()));

  server.registerTool(
    "delete_note",
    {
      description: "Delete a note.",
      inputSchema: { id: z.number().int().describe("The number shown by list_notes") },
    },
    async ({ id }) => {
      if (!notes.delete(id)) return failure(`There is no note ${id}.`);
      await changed();
      return text(`Deleted note ${id}.`);
    },
  );

  server.registerTool(
    "summarize_notes",
    { description: "Summarize all notes with the model of the client (sampling)." },
    async (extra) => {
      if (!server.server.getClientCapabilities()?.sampling) {
        return failure("This client has no sampling capability: there is no model to ask.");
      }
      const answer = await server.server.createMessage(
        { messages: [question(`Summarize in one sentence:\n${listing()}`)], maxTokens: 200 },
        // Related to this call, so the question travels on its response stream: a client without a GET stream gets it too.
        { relatedRequestId: extra.requestId, signal: extra.signal },
      );
      const { content } = answer;
      return text(content.type === "text" ? content.text : `The model answered with ${content.type}.`);
    },
  );

  server.registerTool(
    "import_notes",
    {
      description: "Import made-up notes slowly, with progress and log lines on the way.",
      inputSchema: {
        count: z.number().int().min(1).max(1000).default(10),
        delayMs: z.number().int().min(0).max(10_000).default(300),
      },
    },
    async ({ count, delayMs }, extra) => {
      const progressToken = extra._meta?.progressToken;
      for (let done = 1; done <= count; done++) {
        await sleep(delayMs, undefined, { signal: extra.signal }); // throws when the call is cancelled or the server stops
        const data = `Imported note ${add(`Imported note ${done} of ${count}`)}`;
        if (progressToken !== undefined) {
          const params = { progressToken, progress: done, total: count, message: data };
          await extra.sendNotification({ method: "notifications/progress", params });
        }
        if (verbose) {
          const params = { level: "info" as const, logger: "import", data };
          await extra.sendNotification({ method: "notifications/message", params });
        }
      }
      await changed();
      return text(`Imported ${count} notes.`);
    },
  );

  const about = { description: "All notes of this session", mimeType: "text/plain" };
  server.registerResource("all-notes", ALL_NOTES, about, () => ({
    contents: [{ uri: ALL_NOTES, mimeType: about.mimeType, text: listing() }],
  }));

  server.registerPrompt("review_notes", { description: "Sort the notes by importance." }, () => ({
    messages: [question(`Sort these notes by importance:\n${listing()}`)],
  }));

  // What `McpServer` leaves to us: resource subscriptions, and the log level of messages that belong to a call.
  server.server.setRequestHandler(SubscribeRequestSchema, ({ params }) => {
    if (params.uri === ALL_NOTES) subscribed = true;
    return {};
  });
  server.server.setRequestHandler(UnsubscribeRequestSchema, ({ params }) => {
    if (params.uri === ALL_NOTES) subscribed = false;
    return {};
  });
  server.server.setRequestHandler(SetLevelRequestSchema, ({ params }) => {
    verbose = params.level === "debug" || params.level === "info"; // every line we log is an `info`
    return {};
  });

  return server;
}

function text(value: string): CallToolResult {
  return { content: [{ type: "text", text: value }] };
}

function question(value: string) {
  return { role: "user" as const, content: { type: "text" as const, text: value } };
}

/** A failed call is a result the model can read and react to; a JSON-RPC error would only reach the client program. */
function failure(value: string): CallToolResult {
  return { ...text(value), isError: true };
}
