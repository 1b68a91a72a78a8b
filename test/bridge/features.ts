/** What a client can do with a server, each thing tried. */
import { setTimeout as pause } from "node:timers/promises";
import type { SdkClient } from "./sdk-clients.ts";

/** Longest time that something is waited for which comes by itself. */
const PATIENCE_MS = 5_000;
const STEP_MS = 25;

/** Tries again until it is so. */
async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (const end = Date.now() + PATIENCE_MS; !(await holds()); await pause(STEP_MS))
    if (Date.now() > end) throw new Error(`${what}: not within ${PATIENCE_MS} ms`);
}

function expectText(found: string, expected: string): void {
  if (found !== expected) throw new Error(`${JSON.stringify(found)} in place of ${JSON.stringify(expected)}`);
}

/** Each throws what is wrong. */
export const FEATURES = {
  async list(client: SdkClient) {
    const tools = await client.tools();
    if (!tools.includes("test_simple_text")) throw new Error(`tools: ${tools.join(" ")}`);
  },
  async call(client: SdkClient) {
    expectText(await client.call("test_simple_text"), "This is a simple text response for testing.");
    const [prompt, resource] = [await client.prompt("test_simple_prompt"), await client.resource("test://static-text")];
    if (!JSON.stringify(prompt).includes("simple prompt")) throw new Error(JSON.stringify(prompt));
    if (!JSON.stringify(resource).includes("static text")) throw new Error(JSON.stringify(resource));
  },
  async elicit(client: SdkClient) {
    expectText(await client.call("test_input_required_result_elicitation"), "Hello, Ada!");
  },
  async sample(client: SdkClient) {
    expectText(await client.call("test_input_required_result_sampling"), "Paris");
  },
  async roots(client: SdkClient) {
    expectText(await client.call("test_input_required_result_list_roots"), "file:///work");
  },
  async progress(client: SdkClient) {
    const steps: number[] = [];
    // The SDKs forget about those that come in one piece with the result, on a busy machine all of them.
    await until(async () => {
      await client.call("test_tool_with_progress", {}, { onprogress: ({ progress }) => steps.push(progress) });
      return steps.length > 0;
    }, "progress");
    if (!"0,50,100".startsWith(steps.join())) throw new Error(`steps: ${steps.join()}`);
  },
  async cancel(client: SdkClient) {
    const name = crypto.randomUUID();
    const cancelling = new AbortController();
    const onprogress = () => cancelling.abort(new Error("taken back"));
    const outcome = await client
      .call("wait", { name }, { signal: cancelling.signal, onprogress })
      .catch((error: Error) => error.message);
    if (!outcome.includes("taken back")) throw new Error(outcome);
    await until(async () => (await client.call("was_cancelled", { name })) === "true", "the server hears of it");
  },
  async log(client: SdkClient) {
    await client.call("test_logging_tool", {}, { logs: true });
    await until(() => client.logs.includes("It ran."), "a log message");
  },
  async changed(client: SdkClient) {
    // The stream that it comes on opens when it does.
    await until(async () => {
      if (client.changes() === 0) await client.call("test_trigger_tool_change");
      await pause(STEP_MS);
      return client.changes() > 0;
    }, "tools/list_changed");
  },
} as const;

export type Feature = keyof typeof FEATURES;
export const FEATURE_NAMES = Object.keys(FEATURES) as Feature[];

/** Tries all of them. @returns what is wrong with each */
export async function tryFeatures(
  client: SdkClient,
  features: readonly Feature[] = FEATURE_NAMES,
): Promise<Partial<Record<Feature, string>>> {
  const wrong: Partial<Record<Feature, string>> = {};
  for (const name of features)
    await FEATURES[name](client).catch((error: Error) => {
      wrong[name] = error.message;
    });
  return wrong;
}
