/**
 * The tools that the suite's server scenarios call, by name, for servers of both eras. `run` is given the call and its arguments. A call has
 * `log(data)`, `progress(step, total)`, `changed("tools" | "prompts")`, a `signal`, the client's `capabilities`, `closeStream()`, and
 * `ask(requests, { state })`, which gives the answers by the names of the requests.
 *
 * A server of 2026-07-28 runs a tool again with each answer (Multi Round-Trip Requests), so nothing may be done before the last `ask`.
 */
import { setTimeout as pause } from "node:timers/promises";
import { elicitation, image, roots, sampling, text, WAV } from "./contents.mjs";

const string = { type: "string" };
/** The schema of a tool that takes nothing. */
export const nothing = { type: "object", properties: {} };
/** The scenarios ask for steps that can be told apart. */
const STEP_MS = 50;

/** Names of calls of `wait` that were cancelled: requests of 2026-07-28 have nothing in common but the process. */
const cancelled = new Set();
/** Longer than any test waits. */
const WAIT_MS = 20_000;

const said = (value) => ({ content: [text(value)] });
const needs = (name) => ({ type: "object", properties: { [name]: string }, required: [name] });
const resource = (uri, mimeType, value) => ({ type: "resource", resource: { uri, mimeType, text: value } });
const elicitedName = elicitation("What is your name?", { name: string }, ["name"]);
const titled = (...names) => names.map((title, i) => ({ const: `value${i + 1}`, title }));

async function elicited(call, properties) {
  const { form } = await call.ask({ form: elicitation("Please fill in the form", properties) });
  return said(`Elicitation completed: action=${form.action}, content=${JSON.stringify(form.content)}`);
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
    async run({ progress }) {
      for (const step of [0, 50, 100]) {
        if (step > 0) await pause(STEP_MS);
        await progress(step, 100);
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
    async run({ ask }, { prompt }) {
      const { answer } = await ask({ answer: sampling(prompt, 100) });
      return said(`LLM response: ${answer.content.text}`);
    },
  },
  test_elicitation: {
    description: "Asks the user",
    inputSchema: needs("message"),
    async run({ ask }, { message }) {
      const properties = {
        username: { ...string, description: "User's response" },
        email: { ...string, description: "User's email address" },
      };
      const { form } = await ask({ form: elicitation(message, properties, ["username", "email"]) });
      return said(`User response: ${JSON.stringify({ action: form.action, content: form.content })}`);
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
    async run({ closeStream }) {
      closeStream?.();
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
  test_input_required_result_elicitation: {
    description: "Asks for a name",
    async run({ ask }) {
      const { user_name: answer } = await ask({ user_name: elicitedName });
      return said(`Hello, ${answer.content?.name}!`);
    },
  },
  test_input_required_result_sampling: {
    description: "Asks the client's model for a capital",
    async run({ ask }) {
      const { capital_question: answer } = await ask({
        capital_question: sampling("What is the capital of France?", 100),
      });
      return said(answer.content.text);
    },
  },
  test_input_required_result_list_roots: {
    description: "Asks for the client's roots",
    async run({ ask }) {
      const { client_roots: answer } = await ask({ client_roots: roots });
      return said(answer.roots.map(({ uri }) => uri).join(" "));
    },
  },
  test_input_required_result_request_state: {
    description: "Asks for a confirmation, with a state",
    async run({ ask }) {
      const ok = { ok: { type: "boolean" } };
      await ask({ confirm: elicitation("Please confirm", ok, ["ok"]) }, { state: true });
      return said("state-ok");
    },
  },
  test_input_required_result_multiple_inputs: {
    description: "Asks for three things at a time, with a state",
    async run({ ask }) {
      const answers = await ask(
        { user_name: elicitedName, greeting: sampling("Generate a greeting", 50), client_roots: roots },
        { state: true },
      );
      return said(JSON.stringify(answers));
    },
  },
  test_input_required_result_multi_round: {
    description: "Asks for one thing, then for another",
    async run({ ask }) {
      const one = elicitation("Step 1: What is your name?", { name: string }, ["name"]);
      const { step1 } = await ask({ step1: one }, { state: true });
      const other = elicitation("Step 2: What is your favorite color?", { color: string }, ["color"]);
      const { step2 } = await ask({ step2: other }, { state: true });
      return said(`${step1.content?.name} likes ${step2.content?.color}`);
    },
  },
  test_input_required_result_tampered_state: {
    description: "Asks for a confirmation, with a state that cannot be changed",
    async run({ ask }) {
      await ask({ confirm: elicitation("Please confirm", { ok: { type: "boolean" } }, ["ok"]) }, { state: true });
      return said("state-ok");
    },
  },
  test_input_required_result_capabilities: {
    description: "Asks for what the client can answer",
    async run({ ask, capabilities }) {
      const { elicitation: user, sampling: model } = capabilities;
      const answers = await ask({
        ...(user && { user_name: elicitedName }),
        ...(model && { capital_question: sampling("What is the capital of France?", 100) }),
      });
      return said(JSON.stringify(answers));
    },
  },
  test_missing_capability: {
    description: "Asks the client's model, whether there is one or not",
    async run({ ask }) {
      await ask({ answer: sampling("Say pong", 16) });
      return said("It has a model.");
    },
  },
  test_streaming_elicitation: { description: "Asks nothing", run: () => said("No request was sent on this stream.") },
  test_logging_tool: {
    description: "Logs once",
    async run({ log }) {
      await log("It ran.");
      return said("logged");
    },
  },
  test_trigger_tool_change: {
    description: "Says that the list of tools has changed",
    async run({ changed }) {
      await changed("tools");
      return said("told");
    },
  },
  test_trigger_prompt_change: {
    description: "Says that the list of prompts has changed",
    async run({ changed }) {
      await changed("prompts");
      return said("told");
    },
  },
  test_x_mcp_header: {
    description: "Has an argument that clients repeat as a header",
    inputSchema: {
      type: "object",
      properties: { region: { ...string, "x-mcp-header": "Region" }, level: { type: "integer" } },
    },
    run: (_call, { region }) => said(`region=${region}`),
  },
  wait: {
    description: "Reports progress, then waits to be cancelled. No scenario asks for it",
    inputSchema: needs("name"),
    async run({ progress, signal }, { name }) {
      signal.addEventListener("abort", () => cancelled.add(name));
      await progress(1, 2);
      await pause(WAIT_MS, undefined, { signal, ref: false }).catch(() => {});
      return said("waited");
    },
  },
  was_cancelled: {
    description: "Tells whether a call of `wait` was cancelled",
    inputSchema: needs("name"),
    run: (_call, { name }) => said(String(cancelled.has(name))),
  },
};

/** As `tools/list` shows them. */
export const listedTools = Object.entries(tools).map(([name, { description, inputSchema = nothing }]) => ({
  name,
  description,
  inputSchema,
}));
