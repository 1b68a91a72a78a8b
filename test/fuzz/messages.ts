/** JSON-RPC texts that a server could send, and some that it should not. */
import { mutate, valueText } from "../core/json-texts.ts";
import type { Random } from "../core/random.ts";

const IDS = [
  "7",
  "0",
  "-3",
  "9007199254740993",
  "123456789012345678901234567890",
  "1.0",
  "1e2",
  '"a"',
  '"\\u0061\\n"',
  '""',
  '"é😀"',
  '"\\ud83d"',
];

/** The text of a request's id, some of them beyond what a double holds. */
export function idText(rnd: Random): string {
  return rnd.chance(0.5) ? String(rnd.int(1000)) : rnd.pick(IDS);
}

const METHODS = ["tools/call", "tools/call", "tools/list", "ping", "resources/read"];

/** A request of a client, and what is known of it. */
export interface Posted {
  text: string;
  /** `undefined` for a notification. */
  id: string | undefined;
  method: string;
}

export function posted(rnd: Random): Posted {
  const isRequest = rnd.chance(0.9);
  const method = isRequest ? rnd.pick(METHODS) : "notifications/progress";
  const id = isRequest ? idText(rnd) : undefined;
  const members = [
    `"jsonrpc":"2.0"`,
    ...(id === undefined ? [] : [`"id":${id}`]),
    `"method":"${method}"`,
    `"params":{"x":${valueText(rnd)}}`,
  ];
  members.sort(() => rnd.int(3) - 1);
  return { text: `{${members.join(",")}}`, id, method };
}

/** The answer to a request. */
export function responseText(rnd: Random, { id = "null", method }: Posted): string {
  const way = rnd.int(10);
  if (way === 0) return object(rnd, [`"id":${id}`, `"error":{"code":-32000,"message":"no"}`]);
  if (method === "tools/list") return object(rnd, [`"id":${id}`, `"result":{"tools":${tools(rnd)}}`]);
  if (way === 1) return object(rnd, [`"\\u0069d":${id}`, `"\\u0072esult":{"a":${valueText(rnd)}}`]);
  if (way === 2) return object(rnd, [`"id":${id}`, `"result":{"a":1,"a":${valueText(rnd)}}`]);
  if (way === 3) return object(rnd, [`"id":${id}`, `"result":{"deep":${nested(rnd)}}`]);
  if (way === 4) return object(rnd, [`"id":${id}`, `"result":${valueText(rnd)}`]);
  return object(rnd, [`"id":${id}`, `"result":{"content":${valueText(rnd)},"big":9007199254740993}`]);
}

function tools(rnd: Random): string {
  const list = Array.from(
    { length: rnd.int(5) },
    (_, i) => `{"name":"${rnd.pick(["hidden", "h\\u0069dden", "shown", "é"])}${i}","x":${valueText(rnd)}}`,
  );
  return `[${list.join(",")}]`;
}

/** Near the limit of what a posted body may have, and beyond. */
function nested(rnd: Random): string {
  const depth = rnd.pick([100, 126, 127, 128, 400]);
  return "[".repeat(depth) + "]".repeat(depth);
}

/** What comes besides the answer. */
export function asideText(rnd: Random, request: Posted): string {
  switch (rnd.int(13)) {
    case 0:
      return object(rnd, [`"id":${idText(rnd)}`, `"method":"sampling/createMessage"`, `"params":${valueText(rnd)}`]);
    case 1:
      return object(rnd, [`"\\u0069d":"r"`, `"\\u006dethod":"roots/list"`]);
    case 2:
      return object(rnd, [`"method":"notifications/a"`, `"METHOD":"b"`]);
    case 3:
      return `[${object(rnd, [`"method":"notifications/message"`])},${object(rnd, [`"method":"notifications/b"`, `"params":${valueText(rnd)}`])}]`;
    case 4:
      return valueText(rnd);
    case 5:
      return rnd.pick(["not JSON", '{"result"', '{"id": nobody}', "", " ", "[]", "{}", "null", '"id"']);
    case 6:
      return mutate(rnd, responseText(rnd, request));
    case 7:
      return object(rnd, [`"id":1`, `"method":"x"`, `"result":{}`]);
    case 8:
      return object(rnd, [
        `"method":"notifications/message"`,
        `"params":{"text":"${"é😀\\ud83d".repeat(rnd.int(40))}"}`,
      ]);
    default:
      return object(rnd, [
        `"method":"notifications/${rnd.pick(["progress", "message", "tools/list_changed"])}"`,
        `"params":{"p":${valueText(rnd)}}`,
      ]);
  }
}

function object(rnd: Random, members: string[]): string {
  const all = ['"jsonrpc":"2.0"', ...members];
  all.sort(() => rnd.int(3) - 1);
  const gap = rnd.pick(["", "", "", " ", "\n", "\r\n", "\t"]);
  return `{${gap}${all.join(`,${gap}`)}${gap}}`;
}
