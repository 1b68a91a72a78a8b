/** What the changing plugin does to a message on its way down. The model applies the same to what was sent. */
import type { Json, Message } from "../../core/types.ts";

/** @returns another message, `null` for one that is dropped, nothing where it stays as it is */
export function change(message: Message, method: string | undefined): Message | null | undefined {
  if (message.method !== undefined)
    return message.method === "notifications/message" && message.id === undefined ? null : undefined;
  const { result } = message;
  if (typeof result !== "object" || result === null || Array.isArray(result)) return undefined;
  const { tools } = result;
  if (method !== "tools/list" || !Array.isArray(tools)) return { ...message, result: { ...result, fuzz: true } };
  return { ...message, result: { ...result, tools: tools.filter((tool) => !isHidden(tool)) } };
}

function isHidden(tool: unknown): boolean {
  return typeof tool === "object" && tool !== null && String((tool as Json).name).startsWith("hidden");
}
