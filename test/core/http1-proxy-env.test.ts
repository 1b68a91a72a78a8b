import { describe, expect, test } from "vitest";
import { httpProxyFor } from "../../core/upstream/http1/http-proxy.ts";

const PROXY = "http://proxy.test:3128";
const via = (url: string, env: Record<string, string>) => httpProxyFor(new URL(url), env)?.url.host;

describe("which proxy is asked", () => {
  test.each([
    ["http://a.test/", { HTTP_PROXY: PROXY }, "proxy.test:3128"],
    ["http://a.test/", { http_proxy: PROXY, HTTP_PROXY: "http://other.test" }, "proxy.test:3128"],
    ["http://a.test/", { HTTPS_PROXY: PROXY }, undefined],
    ["https://a.test/", { HTTPS_PROXY: PROXY }, "proxy.test:3128"],
    ["https://a.test/", { HTTP_PROXY: PROXY }, "proxy.test:3128"],
    ["https://a.test/", { HTTP_PROXY: "http://other.test", https_proxy: PROXY }, "proxy.test:3128"],
    ["http://a.test/", { HTTP_PROXY: "proxy.test:3128" }, "proxy.test:3128"],
    ["http://a.test/", { HTTP_PROXY: "" }, undefined],
    ["http://a.test/", {}, undefined],
  ])("%s with %j", (url, env, expected) => expect(via(url, env)).toBe(expected));

  test.each([
    "http://localhost:1/",
    "http://x.localhost/",
    "http://127.0.0.1/",
    "http://127.9.9.9/",
    "http://[::1]:1/",
  ])("%s is never behind one", (url) => expect(via(url, { HTTP_PROXY: PROXY })).toBeUndefined());

  test.each([
    ["a.test", "http://a.test/", true],
    ["A.test", "http://a.test/", true],
    ["a.test", "http://sub.a.test/", true],
    [".a.test", "http://sub.a.test/", true],
    ["*.a.test", "http://sub.a.test/", true],
    ["a.test", "http://nota.test/", false],
    ["a.test:8080", "http://a.test:8080/", true],
    ["a.test:8080", "http://a.test/", false],
    ["a.test:80", "http://a.test/", true],
    ["b.test, a.test", "http://a.test/", true],
    ["b.test a.test", "http://a.test/", true],
    ["*", "http://a.test/", true],
    ["10.0.0.1", "http://10.0.0.1/", true],
    ["fe80::1", "http://[fe80::1]/", true],
    ["[fe80::1]:8080", "http://[fe80::1]:8080/", true],
    [" , ", "http://a.test/", false],
  ])("NO_PROXY=%s, %s: exempt is %s", (list, url, isExempt) => {
    expect(via(url, { HTTP_PROXY: PROXY, NO_PROXY: list })).toBe(isExempt ? undefined : "proxy.test:3128");
  });
});

test("its credentials become a header", () => {
  const proxy = httpProxyFor(new URL("http://a.test"), { HTTP_PROXY: "http://us%40er:p%3Aw@proxy.test" });
  expect(proxy?.authorization).toBe(`proxy-authorization: Basic ${Buffer.from("us@er:p:w").toString("base64")}\r\n`);
});

test.each(["socks5://proxy.test", "http://", "://"])("%s is told at the start, without what stands there", (value) => {
  const find = () => httpProxyFor(new URL("http://a.test"), { HTTP_PROXY: value });
  expect(find).toThrow(expect.objectContaining({ code: "BAD_CONFIG" }));
  expect(find).toThrow(/HTTP_PROXY/);
  expect(find).not.toThrow(/proxy\.test/);
});
