/** What a client must have declared before a server may ask it something. */
import { type Json, type Message, isRecord } from "../core/index.ts";

/** Server→client requests and the capability that a client declares for them (MCP 2025-11-25, Lifecycle, Capability Negotiation). */
export const CAPABILITIES: Readonly<Record<string, { name: string; section: string }>> = {
  "sampling/createMessage": { name: "sampling", section: "sampling" },
  "elicitation/create": { name: "elicitation", section: "elicitation" },
  "roots/list": { name: "roots", section: "roots" },
};

/** Whether a client that declared this may be asked that. */
export function declares(capabilities: Json, { method, params }: Message): boolean {
  const capability = CAPABILITIES[method!];
  // Requests that this proxy does not know belong to a capability that it does not know either: the name's first part, as in tasks/get.
  const declared = capabilities[capability?.name ?? method!.split("/")[0]!];
  if (!isRecord(declared)) return false;
  if (method === "elicitation/create") {
    const mode = params?.mode ?? "form";
    // MCP 2025-11-25, Elicitation: an empty object declares forms only.
    return mode === "form"
      ? Object.keys(declared).length === 0 || isRecord(declared.form)
      : isRecord(declared[String(mode)]);
  }
  if (method === "sampling/createMessage" && params?.tools !== undefined) return isRecord(declared.tools);
  return true;
}

/** What a client would have to declare to be asked all of that, as `data.requiredCapabilities` of -32021 says it. */
export function requiredFor(requests: readonly Message[]): Json {
  const required: Record<string, Json> = {};
  for (const { method, params } of requests) {
    const name = CAPABILITIES[method!]?.name ?? method!.split("/")[0]!;
    const part =
      name === "elicitation" ? String(params?.mode ?? "form") : params?.tools === undefined ? undefined : "tools";
    required[name] = { ...required[name], ...(part !== undefined && { [part]: {} }) };
  }
  return required;
}
