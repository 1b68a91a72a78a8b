/**
 * What a modern server wants to know (MCP 2026-07-28, Multi Round-Trip Requests), asked of a legacy client: each of its
 * `inputRequests` becomes a request with an id of the proxy's own, and the answers together are `inputResponses`.
 */
import { JsonObject, isRecord } from "../../../core/index.ts";
import { type Ending, errorEnding, inabilityEnding } from "./errors.ts";
import type { LegacySession } from "./legacy-session.ts";

/** Asked of one client, and not answered yet. */
export class OpenQuestions {
  readonly #open = new Map<string, (response: JsonObject) => void>();

  add(id: string, take: (response: JsonObject) => void): void {
    this.#open.set(JSON.stringify(id), take);
  }

  remove(id: string): void {
    this.#open.delete(JSON.stringify(id));
  }

  /** The client has posted a response. What nobody asked is passed over. @param idText as it wrote the id */
  answered(idText: string, response: JsonObject): void {
    const take = this.#open.get(idText);
    this.#open.delete(idText);
    take?.(response);
  }
}

/** Questions of one round. */
const MAX_QUESTIONS = 100;

/** What a round is told, and tells. */
export interface RoundOptions {
  session: LegacySession;
  /** Of the request that they belong to. */
  method: string;
  /** The client takes an event stream: questions cannot go anywhere else. */
  streams: boolean;
  /** Sends a message to the client. */
  tell(text: Buffer): void;
  /** All are answered. @param responses `inputResponses` */
  answered(responses: JsonObject): void;
  /** Nothing can come of it. */
  gaveUp(ending: Ending): void;
}

interface Question {
  id: string;
  key: string;
  method: string;
}

/** The questions of one `input_required` result. */
export class Round {
  readonly #options: RoundOptions;
  readonly #responses: JsonObject = JsonObject.empty();
  readonly #open = new Set<Question>();

  constructor(options: RoundOptions) {
    this.#options = options;
  }

  /** Nothing is asked before it is clear that everything can be. @param requests `inputRequests` */
  ask(requests: JsonObject): void {
    const { session, method, streams, tell, gaveUp } = this.#options;
    const { server } = session.host.mount;
    const { keys } = requests;
    const asked: [Question, JsonObject][] = [];
    for (const key of keys) {
      const request = requests.object(key);
      const name = request?.value("method");
      const params = request?.has("params") ? request.object("params") : JsonObject.empty();
      if (typeof name !== "string" || !params || keys.length > MAX_QUESTIONS)
        return gaveUp(errorEnding(-32603, `Server '${server}' asked for input in a form that is not valid.`));
      if (!streams || !session.abilities.can(name, params))
        return gaveUp(inabilityEnding(method, unable(server, name, params)));
      asked.push([{ id: crypto.randomUUID(), key, method: name }, params]);
    }
    for (const [question] of asked) {
      this.#open.add(question);
      session.questions.add(question.id, (response) => this.#answered(question, response));
    }
    for (const [question, params] of asked) tell(questionText(question, params, session.version));
  }

  /** Nobody waits for the answers any more. @param tellClient takes what is still open back */
  withdraw(tellClient: boolean): void {
    for (const { id } of this.#open) {
      this.#options.session.questions.remove(id);
      if (!tellClient) continue;
      const params = { requestId: id, reason: "Nobody waits for the answer any more." };
      this.#options.tell(Buffer.from(JSON.stringify({ jsonrpc: "2.0", method: "notifications/cancelled", params })));
    }
    this.#open.clear();
  }

  #answered(question: Question, response: JsonObject): void {
    if (!this.#open.delete(question)) return;
    const result = response.text("result");
    if (result) this.#responses.set(question.key, result);
    // A server can be told of no error. That the user gave no answer it knows (MCP 2026-07-28, Elicitation).
    else if (question.method === "elicitation/create") this.#responses.set(question.key, '{"action":"cancel"}');
    else return this.#options.gaveUp(refused(question, response.value("error")));
    if (this.#open.size === 0) this.#options.answered(this.#responses);
  }
}

function questionText({ id, method }: Question, params: JsonObject, version: string): Buffer {
  if (method === "elicitation/create") {
    // The first revision with elicitation knows forms, and no word for them.
    if (version < "2025-11-25") params.delete("mode");
    // Clients of 2025-11-25 want one; that the user is done the server finds out by itself.
    else if (params.value("mode") === "url") params.set("elicitationId", JSON.stringify(crypto.randomUUID()));
  }
  const text = JsonObject.empty().set("jsonrpc", '"2.0"').set("id", JSON.stringify(id));
  return text.set("method", JSON.stringify(method)).set("params", params).toBytes();
}

function unable(server: string, method: string, params: JsonObject): string {
  const mode = method === "elicitation/create" ? ` (${String(params.value("mode") ?? "form")})` : "";
  return `Server '${server}' asked for ${method}${mode}, which its client did not declare, or cannot do in its revision.`;
}

function refused({ method }: Question, error: unknown): Ending {
  const { code, message } = isRecord(error) ? error : {};
  const why = typeof message === "string" ? `: ${message}` : "";
  return errorEnding(
    -32603,
    `The client answered ${method} with an error${typeof code === "number" ? ` (${code})` : ""}${why}`,
  );
}
