/** How long a token is used, how often one is asked for, and what happens when there is none. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { isProxyError } from "../../core/errors.ts";
import { type Issued, TokenFailure, readToken } from "../../plugins/_token-answer.ts";
import { TokenSource } from "../../plugins/_token-source.ts";

const LIFE = { margin: 60_000, floor: 10_000, lifetime: 300_000, timeout: 5000 };
const failure = new TokenFailure("docs");

beforeEach(() => void vi.useFakeTimers({ toFake: ["performance"] }));
afterEach(() => void vi.useRealTimers());

/** A source that counts, and issues what a list says; the last entry again and again. */
function counting(...answers: (number | undefined | Error)[]) {
  const state = { fetched: 0, source: undefined as unknown as TokenSource };
  const fetch = async (): Promise<Issued> => {
    const lifetime = answers[Math.min(state.fetched++, answers.length - 1)];
    if (lifetime instanceof Error) throw lifetime;
    return { token: `token-${state.fetched}`, lifetime };
  };
  state.source = new TokenSource(LIFE, failure, fetch);
  return state;
}

/** For how long a token of this lifetime is used, in seconds. */
async function usedFor(lifetime: number | undefined): Promise<number> {
  const state = counting(lifetime);
  await state.source.get();
  for (let seconds = 1; seconds <= 4000; seconds++) {
    vi.advanceTimersByTime(1000);
    if ((await state.source.get()) !== "token-1") return seconds;
  }
  return Number.POSITIVE_INFINITY;
}

test.each<[number | undefined, number, string]>([
  [3600, 3540, "a margin before the end"],
  [61, 10, "no less than the floor"],
  [70, 10, "no less than the floor"],
  [71, 11, "a margin before the end"],
  [9, 9, "never beyond the end"],
  [1, 1, "never beyond the end"],
  [undefined, 240, "the default life, where the provider names none"],
])("a token that lives %s s is used for %s s: %s", async (lifetime, used, _why) => {
  expect(await usedFor(lifetime === undefined ? undefined : lifetime * 1000)).toBe(used);
});

test.each([0, -1, -3600])("a lifetime of %s serves who waits, and is not kept", async (seconds) => {
  const state = counting(seconds * 1000);
  const burst = await Promise.all(Array.from({ length: 50 }, () => state.source.get()));
  expect([new Set(burst).size, state.fetched]).toEqual([1, 1]);
  expect(await state.source.get()).toBe("token-2");
});

test("the margin counts from when the token was asked for", async () => {
  const source = new TokenSource({ ...LIFE, margin: 0, floor: 0 }, failure, async () => {
    vi.advanceTimersByTime(4000);
    return { token: crypto.randomUUID(), lifetime: 10_000 };
  });
  const first = await source.get();
  vi.advanceTimersByTime(5999);
  expect(await source.get()).toBe(first);
  vi.advanceTimersByTime(1);
  expect(await source.get()).not.toBe(first);
});

test("fifty refusals of one token fetch one other", async () => {
  const state = counting(3_600_000);
  const used = await state.source.get();
  const others = await Promise.all(Array.from({ length: 50 }, () => state.source.renew(used)));
  expect([new Set(others).size, state.fetched]).toEqual([1, 2]);
  // One that comes late is told of the token that is there.
  expect(await state.source.renew(used)).toBe("token-2");
  expect(state.fetched).toBe(2);
});

test("a server that refuses every token does not make the provider issue one for each request", async () => {
  const state = counting(3_600_000);
  for (let i = 0; i < 50; i++) await state.source.renew(await state.source.get());
  expect(state.fetched).toBe(4);
  vi.advanceTimersByTime(10_000);
  for (let i = 0; i < 50; i++) await state.source.renew(await state.source.get());
  expect(state.fetched).toBe(5);
});

test("a provider that fails is left alone, longer each time, and asked again", async () => {
  const state = counting(
    failure.unavailable(undefined),
    failure.unavailable(undefined),
    failure.unavailable(undefined),
    3_600_000,
  );
  const ask = () => state.source.get().catch((cause: unknown) => cause);
  const burst = await Promise.all(Array.from({ length: 50 }, ask));
  expect(state.fetched).toBe(1);
  expect(burst.every((one) => isProxyError(one) && one.code === "UPSTREAM_TOKEN_UNAVAILABLE")).toBe(true);
  // One failure may be chance.
  await ask();
  expect(state.fetched).toBe(2);
  for (let i = 0; i < 50; i++) await ask();
  expect(state.fetched).toBe(2);
  expect(((await ask()) as { details: object }).details).toMatchObject({
    server: "docs",
    headers: { "retry-after": "1" },
  });
  vi.advanceTimersByTime(1000);
  for (let i = 0; i < 50; i++) await ask();
  expect(state.fetched).toBe(3);
  vi.advanceTimersByTime(1999);
  await ask();
  expect(state.fetched).toBe(3);
  vi.advanceTimersByTime(1);
  expect(await ask()).toBe("token-4");
});

test("what a provider asks for in Retry-After is waited for", async () => {
  const state = counting(failure.unavailable(undefined, undefined, 20), 1000);
  const ask = () => state.source.get().catch((cause: unknown) => cause);
  await ask();
  vi.advanceTimersByTime(19_000);
  expect(await ask()).toMatchObject({ details: { headers: { "retry-after": "1" } } });
  vi.advanceTimersByTime(1000);
  expect(await ask()).toBe("token-2");
});

test("a provider that fails within the margin takes no server with it; beyond the end it does", async () => {
  const state = counting(3_600_000, failure.unavailable(undefined));
  await state.source.get();
  vi.advanceTimersByTime(3_599_000);
  expect(await state.source.get()).toBe("token-1");
  vi.advanceTimersByTime(1000);
  await expect(state.source.get()).rejects.toMatchObject({ code: "UPSTREAM_TOKEN_UNAVAILABLE" });
});

const json = (body: unknown, status = 200, headers: Record<string, string> = {}) =>
  new Response(typeof body === "string" ? body : JSON.stringify(body), {
    status,
    headers: { "content-type": "application/json", ...headers },
  });
const read = (response: Response, type?: string) => readToken(response, failure, ["canary-secret"], type);

test.each<[string, Response, string, string]>([
  ["a list", json([]), "UPSTREAM_TOKEN_REFUSED", "HTTP 200"],
  ["a text", json('"token"'), "UPSTREAM_TOKEN_REFUSED", "HTTP 200"],
  ["null", json("null"), "UPSTREAM_TOKEN_REFUSED", "HTTP 200"],
  ["no JSON", json("{"), "UPSTREAM_TOKEN_REFUSED", "HTTP 200"],
  ["no token", json({ token_type: "Bearer" }), "UPSTREAM_TOKEN_REFUSED", "HTTP 200"],
  ["a token with a line end", json({ access_token: "a\r\nx: y" }), "UPSTREAM_TOKEN_REFUSED", "HTTP 200"],
  ["another kind of token", json({ access_token: "a", token_type: "mac" }), "UPSTREAM_TOKEN_REFUSED", "HTTP 200"],
  ["an error with 200", json({ error: "invalid_client" }), "UPSTREAM_TOKEN_REFUSED", "HTTP 200, invalid_client"],
  ["400", json({ error: "invalid_scope" }, 400), "UPSTREAM_TOKEN_REFUSED", "HTTP 400, invalid_scope"],
  ["401", json({ error: "invalid_client" }, 401), "UPSTREAM_TOKEN_REFUSED", "HTTP 401, invalid_client"],
  ["404 without a body", json("", 404), "UPSTREAM_TOKEN_REFUSED", "HTTP 404"],
  ["429", json({}, 429, { "retry-after": "7" }), "UPSTREAM_TOKEN_UNAVAILABLE", "HTTP 429"],
  ["500", json("oh", 500), "UPSTREAM_TOKEN_UNAVAILABLE", "HTTP 500"],
])("%s is a clear error that names server and status", async (_, response, code, status) => {
  const error = await read(response).catch((cause: unknown) => cause);
  expect(error).toMatchObject({ code, message: expect.stringContaining("'docs'") as string });
  expect((error as Error).message).toContain(status);
});

test.each(["canary-secret", "it was canary-secret, which is wrong", "no".repeat(400)])(
  "what a provider says is shown to nobody but the log, and there not if it repeats a secret: %s",
  async (description) => {
    const error = await read(json({ error: "canary-secret", error_description: description }, 400)).catch(
      (cause: unknown) => cause,
    );
    if (!isProxyError(error)) throw error;
    expect(error.message + error.toLog()).not.toContain("canary");
    expect(error.toLog().length).toBeLessThan(600);
  },
);

test("lifetimes come as numbers, as texts, or not at all; forms of old providers are read", async () => {
  const of = async (expires_in: unknown) => (await read(json({ access_token: "a", expires_in }))).lifetime;
  expect([await of(3600), await of("3600"), await of(-5), await of(0)]).toEqual([3_600_000, 3_600_000, -5000, 0]);
  expect([await of(undefined), await of("soon"), await of(null), await of("")]).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
  const form = new Response("access_token=a&token_type=bearer&expires_in=60", {
    headers: { "content-type": "application/x-www-form-urlencoded" },
  });
  expect(await read(form)).toEqual({ token: "a", lifetime: 60_000 });
});

test("a grant for another provider is no token for a server, and a token is no such grant", async () => {
  const type = "urn:ietf:params:oauth:token-type:id-jag";
  const grant = { access_token: "a", token_type: "N_A", issued_token_type: type };
  expect(await read(json(grant), type)).toMatchObject({ token: "a" });
  await expect(read(json(grant))).rejects.toMatchObject({ code: "UPSTREAM_TOKEN_REFUSED" });
  await expect(read(json({ access_token: "a" }), type)).rejects.toMatchObject({ code: "UPSTREAM_TOKEN_REFUSED" });
});
