/**
 * A client that does what the suite's client scenarios ask for: `node main.mjs v1|v2 legacy|modern URL`. The suite names the scenario in
 * the environment.
 */
import { Client as ClientV2, StreamableHTTPClientTransport as HttpV2 } from "@modelcontextprotocol/client";
import { Client as ClientV1 } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as HttpV1 } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { ElicitRequestSchema } from "@modelcontextprotocol/sdk/types.js";

const [sdk, era, url] = process.argv.slice(2);
const { MCP_CONFORMANCE_SCENARIO: scenario, MCP_CONFORMANCE_CONTEXT: context = "{}" } = process.env;

const MODERN = "2026-07-28";
const INFO = { name: "penstock-client", version: "1.0.0" };
/** What the servers of some scenarios do not say, because they do not know `server/discover`. */
const SERVER = {
  supportedVersions: [MODERN],
  capabilities: { tools: {}, resources: {}, prompts: {} },
  resultType: "complete",
  ttlMs: 0,
  cacheScope: "private",
};
const WITHOUT_DISCOVER = new Set([
  "http-standard-headers",
  "http-custom-headers",
  "http-invalid-tool-headers",
  "sep-2322-client-request-state",
]);
const CAPABILITIES = {
  "elicitation-sep1034-client-defaults": { elicitation: { form: { applyDefaults: true } } },
  "sep-2322-client-request-state": { elicitation: {} },
  "request-metadata": { roots: { listChanged: true }, sampling: {}, elicitation: {} },
};

/** What a scenario asks for, once the tools are listed. Others want no more than that list. */
const SCENARIOS = {
  async tools_call(client) {
    await client.callTool({ name: "add_numbers", arguments: { a: 5, b: 3 } });
  },
  async "elicitation-sep1034-client-defaults"(client, tools) {
    await client.callTool({ name: tools[0].name, arguments: {} });
  },
  async "sse-retry"(client) {
    await client.callTool({ name: "test_reconnection", arguments: {} });
  },
  async "json-schema-2020-12-preservation"(client, tools) {
    const { inputSchema: schema } = tools.find(({ name }) => name === "json_schema_2020_12_tool");
    await client.callTool({ name: "json_schema_echo", arguments: { schema } });
  },
  async "http-standard-headers"(client, tools) {
    await client.callTool({ name: tools[0].name, arguments: {} });
    const { resources } = await client.listResources();
    await client.readResource({ uri: resources[0].uri });
    const { prompts } = await client.listPrompts();
    await client.getPrompt({ name: prompts[0].name, arguments: {} });
  },
  async "http-custom-headers"(client) {
    for (const call of JSON.parse(context).toolCalls)
      await client.callTool({ name: call.name, arguments: call.arguments });
  },
  async "http-invalid-tool-headers"(client, tools) {
    for (const { name } of tools) await client.callTool({ name, arguments: { region: "us-west1" } });
  },
  async "sep-2322-client-request-state"(client) {
    for (const name of ["test_mrtr_echo_state", "test_mrtr_no_state", "test_mrtr_unrelated"])
      await client.callTool({ name, arguments: {} });
    // Its result is none in this revision, and clients may refuse it.
    await client.callTool({ name: "test_mrtr_no_result_type", arguments: {} }).catch(() => {});
  },
};

async function connect() {
  const capabilities = CAPABILITIES[scenario] ?? {};
  const answer = async () => ({
    action: "accept",
    content: scenario === "sep-2322-client-request-state" ? { confirmed: true } : {},
  });
  if (sdk === "v1") {
    const client = new ClientV1(INFO, { capabilities });
    if (capabilities.elicitation) client.setRequestHandler(ElicitRequestSchema, answer);
    await client.connect(new HttpV1(new URL(url)));
    return client;
  }
  const mode = era === "modern" ? { pin: MODERN } : "legacy";
  const client = new ClientV2(INFO, { capabilities, versionNegotiation: { mode } });
  if (capabilities.elicitation) client.setRequestHandler("elicitation/create", answer);
  const known = era === "modern" && WITHOUT_DISCOVER.has(scenario);
  await client.connect(new HttpV2(new URL(url)), known ? { prior: { kind: "modern", discover: SERVER } } : {});
  return client;
}

const client = await connect();
const { tools } = await client.listTools();
await SCENARIOS[scenario]?.(client, tools);
await client.close();
