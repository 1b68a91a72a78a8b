/** A legacy server that asks its client whatever a server of 2025-11-25 can ask; run by itself it speaks stdio. */
import { pathToFileURL } from "node:url";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import {
  CreateMessageResultSchema,
  ElicitResultSchema,
  ListRootsResultSchema,
  UrlElicitationRequiredError,
} from "@modelcontextprotocol/sdk/types.js";
import { z } from "zod";

const FORM = {
  mode: "form",
  message: "Which colour?",
  requestedSchema: { type: "object", properties: { colour: { type: "string" } }, required: ["colour"] },
};

const said = (value) => ({
  content: [{ type: "text", text: typeof value === "string" ? value : JSON.stringify(value) }],
});

/** @param events what became of calls */
export function askingServer(events = []) {
  const mcp = new McpServer(
    { name: "asking", version: "1.0.0" },
    { capabilities: { logging: {}, tools: { listChanged: true } }, instructions: "Ask." },
  );
  const { server } = mcp;
  const tool = (name, run, inputSchema = {}) => mcp.registerTool(name, { inputSchema }, run);
  tool("echo", ({ text }) => said(text), { text: z.string() });
  // On the stream of the call.
  tool("form", async (_args, extra) =>
    said(await extra.sendRequest({ method: "elicitation/create", params: FORM }, ElicitResultSchema)),
  );
  // On the stream of no call.
  tool("form-aside", async () => said(await server.elicitInput(FORM)));
  tool("twice", async (_args, extra) => {
    const first = await extra.sendRequest({ method: "elicitation/create", params: FORM }, ElicitResultSchema);
    const second = await extra.sendRequest({ method: "roots/list" }, ListRootsResultSchema);
    return said({ first, second });
  });
  tool("together", async (_args, extra) =>
    said(
      await Promise.all([
        extra.sendRequest({ method: "elicitation/create", params: FORM }, ElicitResultSchema),
        extra.sendRequest({ method: "roots/list" }, ListRootsResultSchema),
      ]),
    ),
  );
  tool("url", async (_args, extra) => {
    const params = { mode: "url", message: "Log in.", url: "https://example.com/login", elicitationId: "e-1" };
    return said(await extra.sendRequest({ method: "elicitation/create", params }, ElicitResultSchema));
  });
  let isOpen = false;
  tool("pages", () => {
    if (isOpen) return said("in");
    isOpen = true;
    throw new UrlElicitationRequiredError([
      { mode: "url", message: "Log in.", url: "https://example.com/login", elicitationId: "e-2" },
    ]);
  });
  tool("sample", async (_args, extra) => {
    const messages = [{ role: "user", content: { type: "text", text: "a question" } }];
    const params = { messages, maxTokens: 16 };
    return said(await extra.sendRequest({ method: "sampling/createMessage", params }, CreateMessageResultSchema));
  });
  tool("roots", async (_args, extra) => said(await extra.sendRequest({ method: "roots/list" }, ListRootsResultSchema)));
  tool("progress", async (_args, { _meta, sendNotification }) => {
    for (let progress = 1; progress <= 3; progress++)
      await sendNotification({
        method: "notifications/progress",
        params: { progressToken: _meta?.progressToken, progress, total: 3 },
      });
    return said("done");
  });
  tool("logs", async (_args, { sendNotification }) => {
    for (const level of ["debug", "info", "error"])
      await sendNotification({ method: "notifications/message", params: { level, data: `a line of ${level}` } });
    return said("logged");
  });
  tool("hang", async (_args, { _meta, sendNotification, signal }) => {
    await sendNotification({
      method: "notifications/progress",
      params: { progressToken: _meta?.progressToken, progress: 1 },
    });
    await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    events.push("cancelled");
    return said("never");
  });
  tool("events", () => said(events));
  return mcp;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href)
  await askingServer().connect(new StdioServerTransport());
