/**
 * One JSON object as its text, member by member: what nobody changes stays byte for byte, numbers beyond 2^53 and the order of
 * keys included.
 */
import { findElements, findShallow } from "./members.ts";

/** A value as JSON text: its bytes as they came, or made here. */
export type JsonText = Buffer | string;

export class JsonObject {
  readonly #members: Map<string, JsonText>;

  private constructor(members: Map<string, JsonText>) {
    this.#members = members;
  }

  static empty(): JsonObject {
    return new JsonObject(new Map());
  }

  /** @returns `undefined` when it is no object. Of a key that stands there twice the last one counts, as for `JSON.parse` */
  static read(bytes: Uint8Array): JsonObject | undefined {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const spans = findShallow(text);
    return spans && new JsonObject(new Map(spans.map(([key, [from, to]]) => [key, text.subarray(from, to)])));
  }

  has(key: string): boolean {
    return this.#members.has(key);
  }

  get keys(): string[] {
    return [...this.#members.keys()];
  }

  /** The text of a value. */
  text(key: string): Buffer | undefined {
    const found = this.#members.get(key);
    return typeof found === "string" ? Buffer.from(found) : found;
  }

  /** A value, parsed: for those that are small, or whose digits do not matter. */
  value(key: string): unknown {
    const found = this.#members.get(key);
    return found === undefined ? undefined : JSON.parse(found.toString());
  }

  /** An object inside, to be changed and put back with {@link set}; `undefined` when there is none. */
  object(key: string): JsonObject | undefined {
    const found = this.text(key);
    return found && JsonObject.read(found);
  }

  /** The objects of an array inside; `undefined` when it is no array of objects. */
  objects(key: string): JsonObject[] | undefined {
    const found = this.text(key);
    const spans = found && findElements(found);
    const objects = spans?.map(([from, to]) => JsonObject.read(found!.subarray(from, to)));
    return objects?.every((one) => one !== undefined) ? objects : undefined;
  }

  /** @param value the text of a value, an object, or several */
  set(key: string, value: JsonText | JsonObject | readonly JsonObject[]): this {
    if (value instanceof JsonObject) this.#members.set(key, value.toBytes());
    else if (typeof value === "string" || Buffer.isBuffer(value)) this.#members.set(key, value);
    else this.#members.set(key, `[${(value as readonly JsonObject[]).map(String).join(",")}]`);
    return this;
  }

  delete(key: string): this {
    this.#members.delete(key);
    return this;
  }

  toBytes(): Buffer {
    // Strings that stand side by side are encoded together.
    const pieces: JsonText[] = [];
    let text = "{";
    for (const [key, value] of this.#members) {
      text += `${text === "{" && pieces.length === 0 ? "" : ","}${JSON.stringify(key)}:`;
      if (typeof value === "string") text += value;
      else {
        pieces.push(text, value);
        text = "";
      }
    }
    pieces.push(`${text}}`);
    let size = 0;
    for (const piece of pieces) size += typeof piece === "string" ? Buffer.byteLength(piece) : piece.length;
    const bytes = Buffer.allocUnsafe(size);
    let at = 0;
    for (const piece of pieces) at += typeof piece === "string" ? bytes.write(piece, at) : piece.copy(bytes, at);
    return bytes;
  }

  toString(): string {
    return this.toBytes().toString();
  }
}
