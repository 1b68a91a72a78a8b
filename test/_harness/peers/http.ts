/** The head and body of one HTTP/1.1 message as it came over the wire. */
interface ParsedMessage {
  /** Lower-case names; repeated fields are joined with ", ". */
  headers: Record<string, string>;
  /** Name and value pairs as written, in order, repeated fields kept apart. */
  rawHeaders: [name: string, value: string][];
  /** The body without its framing, decoded as UTF-8. */
  body: string;
  /** The body without its framing. */
  bytes: Buffer;
  /** How the end of the body is marked. `close` means only the end of the connection tells. */
  framing: "none" | "content-length" | "chunked" | "close";
  /** The marked end of the body was reached. */
  complete: boolean;
  /** Length of the message in characters of the latin1 text, up to where it was parsed. */
  length: number;
}

/** One request. */
export interface ParsedRequest extends ParsedMessage {
  method: string;
  /** The request target exactly as sent: usually path and query. */
  target: string;
}

/** One final response; interim 1xx responses before it are skipped and only counted by status. */
export interface ParsedResponse extends ParsedMessage {
  status: number;
  reason: string;
  interim: number[];
}

/** Parses one request from latin1 text; `undefined` while its head is not complete. */
export function parseHttpRequest(text: string): ParsedRequest | undefined {
  const head = parseHead(text, 0);
  if (!head) return undefined;
  const [method = "", target = ""] = head.startLine.split(" ");
  return { method, target, ...parseBody(text, head, "none") };
}

/** What a response parser cannot see in the bytes: whether the connection has ended, and whether the request was a HEAD. */
export interface ResponseContext {
  ended?: boolean;
  method?: string;
}

/** Parses one response from latin1 text, whether or not its body is all there: `complete` says that. Throws without a whole head. */
export function parseHttpResponse(text: string, context: ResponseContext = {}): ParsedResponse {
  const response = findHttpResponse(text, context);
  if (!response) throw new Error(`no complete response head in ${JSON.stringify(text)}`);
  return response;
}

/** Like `parseHttpResponse`, but `undefined` while the head of the final response is not complete. */
export function findHttpResponse(
  text: string,
  { ended = false, method = "GET" }: ResponseContext = {},
): ParsedResponse | undefined {
  const interim: number[] = [];
  let head = parseHead(text, 0);
  while (head) {
    const match = /^HTTP\/1\.[01] (\d{3}) ?(.*)$/.exec(head.startLine);
    if (!match) throw new Error(`not an HTTP/1.1 status line: ${JSON.stringify(head.startLine)}`);
    const status = Number(match[1]);
    if (status >= 200 || status === 101) {
      const bodiless = method === "HEAD" || status === 101 || status === 204 || status === 304;
      const message = bodiless ? parsed(head, "none", "", true, head.end) : parseBody(text, head, "close");
      if (message.framing === "close") message.complete = ended;
      return { status, reason: match[2] ?? "", interim, ...message };
    }
    interim.push(status);
    head = parseHead(text, head.end);
  }
  return undefined;
}

interface Head {
  startLine: string;
  headers: Record<string, string>;
  rawHeaders: [string, string][];
  end: number;
}

function parseHead(text: string, offset: number): Head | undefined {
  const blank = text.indexOf("\r\n\r\n", offset);
  if (blank < 0) return undefined;
  const [startLine = "", ...lines] = text.slice(offset, blank).split("\r\n");
  const rawHeaders = lines.map((line): [string, string] => {
    const colon = line.indexOf(":");
    if (colon < 1) throw new Error(`not a header field: ${JSON.stringify(line)}`);
    return [line.slice(0, colon), line.slice(colon + 1).trim()];
  });
  const headers: Record<string, string> = {};
  for (const [name, value] of rawHeaders) {
    const key = name.toLowerCase();
    headers[key] = headers[key] === undefined ? value : `${headers[key]}, ${value}`;
  }
  return { startLine, headers, rawHeaders, end: blank + 4 };
}

function parsed(
  { headers, rawHeaders }: Head,
  framing: ParsedMessage["framing"],
  latin1: string,
  complete: boolean,
  length: number,
): ParsedMessage {
  const bytes = Buffer.from(latin1, "latin1");
  return { headers, rawHeaders, body: bytes.toString("utf8"), bytes, framing, complete, length };
}

/** `unframed` is what a head without length information means: no body, or one that ends with the connection. */
function parseBody(text: string, head: Head, unframed: "none" | "close"): ParsedMessage {
  const { "transfer-encoding": coding = "", "content-length": length } = head.headers;
  if (/(^|,)\s*chunked\s*$/i.test(coding)) {
    const chunks = readChunks(text, head.end);
    return parsed(head, "chunked", chunks.data, chunks.complete, chunks.end);
  }
  if (length !== undefined) {
    const data = text.slice(head.end, head.end + Number(length));
    return parsed(head, "content-length", data, data.length === Number(length), head.end + data.length);
  }
  if (unframed === "none") return parsed(head, "none", "", true, head.end);
  return parsed(head, "close", text.slice(head.end), false, text.length);
}

/** Joins the chunks from `offset` on, as far as they are whole. A wrong size line or a missing CRLF throws: that is a bug to see. */
function readChunks(text: string, offset: number): { data: string; complete: boolean; end: number } {
  let data = "";
  for (;;) {
    const lineEnd = text.indexOf("\r\n", offset);
    if (lineEnd < 0) return { data, complete: false, end: offset };
    const line = text.slice(offset, lineEnd);
    const size = /^([0-9a-f]+)\s*(;.*)?$/i.exec(line);
    if (!size) throw new Error(`not a chunk size: ${JSON.stringify(line)}`);
    const length = Number.parseInt(size[1] ?? "", 16);
    const start = lineEnd + 2;
    if (length === 0) {
      // The last chunk is followed by trailer fields, if any, and an empty line; `start - 2` is the CRLF of the size line.
      const blank = text.indexOf("\r\n\r\n", start - 2);
      return blank < 0 ? { data, complete: false, end: offset } : { data, complete: true, end: blank + 4 };
    }
    if (text.length < start + length + 2)
      return { data: data + text.slice(start, start + length), complete: false, end: text.length };
    if (!text.startsWith("\r\n", start + length)) throw new Error(`chunk of ${length} bytes is not followed by CRLF`);
    data += text.slice(start, start + length);
    offset = start + length + 2;
  }
}
