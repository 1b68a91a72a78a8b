/** The tools that the suite's server scenarios call, by name. `run` is given the arguments, the server, and what belongs to the call. */
import { setTimeout as pause } from "node:timers/promises";
import { ElicitResultSchema, CreateMessageResultSchema } from "@modelcontextprotocol/sdk/types.js";
import { image, text, WAV } from "./contents.mjs";

const string = { type: "string" };
const nothing = { type: "object", properties: {} };
/** The scenarios ask for steps that can be told apart. */
const STEP_MS = 50;

const said = (value) => ({ content: [text(value)] });
const needs = (name) => ({ type: "object", properties: { [name]: string }, required: [name] });
const resource = (uri, mimeType, value) => ({ type: "resource", resource: { uri, mimeType, text: value } });
const titled = (...names) => names.map((title, i) => ({ const: `value${i + 1}`, title }));

/** Asks the user on the stream of the call. */
function elicit({ extra }, message, properties, required = []) {
  const requestedSchema = { type: "object", properties, required };
  return extra.sendRequest({ method: "elicitation/create", params: { message, requestedSchema } }, ElicitResultSchema);
}

async function elicited(call, properties) {
  const { action, content } = await elicit(call, "Please fill in the form", properties);
  return said(`Elicitation completed: action=${action}, content=${JSON.stringify(content)}`);
}

export const tools = {
  test_simple_text: {
    description: "Answers with text",
    run: () => said("This is a simple text response for testing."),
  },
  test_image_content: { description: "Answers with an image", run: () => ({ content: [image] }) },
  test_audio_content: {
    description: "Answers with a sound",
    run: () => ({ content: [{ type: "audio", data: WAV, mimeType: "audio/wav" }] }),
  },
  test_embedded_resource: {
    description: "Answers with a resource",
    run: () => ({
      content: [resource("test://embedded-resource", "text/plain", "This is an embedded resource content.")],
    }),
  },
  test_multiple_content_types: {
    description: "Answers with text, an image and a resource",
    run: () => ({
      content: [
        text("Multiple content types test:"),
        image,
        resource("test://mixed-content-resource", "application/json", '{"test":"data","value":123}'),
      ],
    }),
  },
  test_tool_with_logging: {
    description: "Logs three times",
    async run({ log }) {
      await log("Tool execution started");
      await pause(STEP_MS);
      await log("Tool processing data");
      await pause(STEP_MS);
      await log("Tool execution completed");
      return said("Tool with logging executed successfully");
    },
  },
  test_tool_with_progress: {
    description: "Reports progress three times",
    async run({ extra }) {
      const progressToken = extra._meta?.progressToken;
      for (const progress of [0, 50, 100]) {
        if (progress > 0) await pause(STEP_MS);
        if (progressToken === undefined) continue;
        const params = { progressToken, progress, total: 100 };
        await extra.sendNotification({ method: "notifications/progress", params });
      }
      return said("Tool with progress executed successfully");
    },
  },
  test_error_handling: {
    description: "Always fails",
    run: () => ({ isError: true, content: [text("This tool intentionally returns an error for testing")] }),
  },
  test_sampling: {
    description: "Asks the client's model",
    inputSchema: needs("prompt"),
    async run({ extra }, { prompt }) {
      const params = { messages: [{ role: "user", content: text(prompt) }], maxTokens: 100 };
      const { content } = await extra.sendRequest(
        { method: "sampling/createMessage", params },
        CreateMessageResultSchema,
      );
      return said(`LLM response: ${content.text}`);
    },
  },
  test_elicitation: {
    description: "Asks the user",
    inputSchema: needs("message"),
    async run(call, { message }) {
      const properties = {
        username: { ...string, description: "User's response" },
        email: { ...string, description: "User's email address" },
      };
      const { action, content } = await elicit(call, message, properties, ["username", "email"]);
      return said(`User response: ${JSON.stringify({ action, content })}`);
    },
  },
  test_elicitation_sep1034_defaults: {
    description: "Asks the user with a default for each kind of field",
    run: (call) =>
      elicited(call, {
        name: { ...string, default: "John Doe" },
        age: { type: "integer", default: 30 },
        score: { type: "number", default: 95.5 },
        status: { ...string, enum: ["active", "inactive", "pending"], default: "active" },
        verified: { type: "boolean", default: true },
      }),
  },
  test_elicitation_sep1330_enums: {
    description: "Asks the user with each kind of choice",
    run: (call) =>
      elicited(call, {
        untitledSingle: { ...string, enum: ["option1", "option2", "option3"] },
        titledSingle: { ...string, oneOf: titled("First Option", "Second Option", "Third Option") },
        legacyEnum: {
          ...string,
          enum: ["opt1", "opt2", "opt3"],
          enumNames: ["Option One", "Option Two", "Option Three"],
        },
        untitledMulti: { type: "array", items: { ...string, enum: ["option1", "option2", "option3"] } },
        titledMulti: { type: "array", items: { anyOf: titled("First Choice", "Second Choice", "Third Choice") } },
      }),
  },
  test_reconnection: {
    description: "Closes its stream, where the transport has one, and answers the client that comes back",
    async run({ extra }) {
      extra.closeSSEStream?.();
      await pause(2 * STEP_MS);
      return said("Reconnection test completed successfully");
    },
  },
  json_schema_2020_12_tool: {
    description: "Has a schema with keywords of JSON Schema 2020-12",
    inputSchema: {
      $schema: "https://json-schema.org/draft/2020-12/schema",
      type: "object",
      $defs: {
        address: { $anchor: "addressDef", type: "object", properties: { street: string, city: string } },
      },
      properties: {
        name: string,
        address: { $ref: "#/$defs/address" },
        contactMethod: { ...string, enum: ["phone", "email"] },
        phone: string,
        email: string,
      },
      allOf: [{ anyOf: [{ required: ["phone"] }, { required: ["email"] }] }],
      if: { properties: { contactMethod: { const: "phone" } }, required: ["contactMethod"] },
      // oxlint-disable-next-line unicorn/no-thenable -- a keyword of JSON Schema
      then: { required: ["phone"] },
      else: { required: ["email"] },
      additionalProperties: false,
    },
    run: (_call, args) => said(`JSON Schema 2020-12 tool called with: ${JSON.stringify(args)}`),
  },
};

/** As `tools/list` shows them. */
export const listedTools = Object.entries(tools).map(([name, { description, inputSchema = nothing }]) => ({
  name,
  description,
  inputSchema,
}));
