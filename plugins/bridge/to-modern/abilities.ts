/** What a legacy client can be asked (MCP 2025-11-25, Lifecycle, Capability Negotiation): by what it declared, and by its revision. */
import { JsonObject, META, isRecord } from "../../../core/index.ts";

const TASKS = `${META}tasks`;

export class ClientAbilities {
  /** As a modern server is told of them. */
  readonly text: Buffer;
  readonly #object: JsonObject;

  /** @param declared in `initialize` */
  constructor(declared: JsonObject | undefined, version: string) {
    const own = declared ?? JsonObject.empty();
    // Of tasks this proxy knows nothing; and to a modern server nobody says that roots have changed.
    own.delete("tasks");
    const roots = own.object("roots");
    if (roots) own.set("roots", roots.delete("listChanged"));
    const extensions = own.object("extensions");
    if (extensions) own.set("extensions", extensions.delete(TASKS));
    // 2025-06-18 has elicitation, and knows forms only.
    if (version < "2025-06-18") own.delete("elicitation");
    const elicitation = own.object("elicitation");
    if (elicitation && version < "2025-11-25") own.set("elicitation", elicitation.delete("url"));
    this.#object = own;
    this.text = own.toBytes();
  }

  /** Whether the client can answer this. @param params of the request for input */
  can(method: string, params: JsonObject): boolean {
    if (method === "roots/list") return this.#declares("roots") !== undefined;
    if (method === "sampling/createMessage") {
      const sampling = this.#declares("sampling");
      return sampling !== undefined && (!params.has("tools") || isRecord(sampling.tools));
    }
    if (method !== "elicitation/create") return false;
    const elicitation = this.#declares("elicitation");
    if (elicitation === undefined) return false;
    const mode = params.has("mode") ? params.value("mode") : "form";
    // An empty object declares forms only.
    if (mode === "form") return Object.keys(elicitation).length === 0 || isRecord(elicitation.form);
    return mode === "url" && isRecord(elicitation.url);
  }

  #declares(key: string): Record<string, unknown> | undefined {
    const found = this.#object.has(key) ? this.#object.value(key) : undefined;
    return isRecord(found) ? found : undefined;
  }
}
