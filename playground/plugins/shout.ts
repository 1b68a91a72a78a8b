/** A complete plugin of your own: it turns the answer of one tool into CAPITALS, so that you can see it at work. */
import type { Plugin } from "mcp-penstock";

/** Options of `shout`. */
export interface ShoutOptions {
  /** The tool whose answers are changed. @default "forecast" */
  tool?: string;
}

/** Upper-cases the text that one tool returns. */
export function shout({ tool = "forecast" }: ShoutOptions = {}): Plugin {
  return {
    name: "shout",
    message: {
      // Down = towards the client. On a response, `method` is the method it answers; all other traffic never comes here.
      filter: { direction: "down", kind: "response", method: "tools/call" },
      handler(exchange, message) {
        // A response does not name its tool. The request it answers does, and the exchange still holds that one.
        if (exchange.message?.params?.name !== tool) return; // nothing returned = the original bytes go out
        const content = message.result?.content;
        if (!Array.isArray(content)) return; // an error has no result
        // Return a changed copy: the message that came in stays as it is.
        return { ...message, result: { ...message.result, content: content.map(upperCase) } };
      },
    },
  };
}

/** Images, audio and links have no `text` and pass as they are. */
function upperCase(item: { text?: unknown }): unknown {
  return typeof item.text === "string" ? { ...item, text: item.text.toUpperCase() } : item;
}
