/** The two hooks of a login: innermost, tokens go with every request; outermost, clients wait for a login that is under way. */
import { discard } from "../../body/body.ts";
import { ProxyError } from "../../errors.ts";
import { HeaderList } from "../../headers.ts";
import type { Exchange, Plugin, UpstreamRequest } from "../../types.ts";
import type { Login } from "./login.ts";
import { readRefusal } from "./refusal.ts";

/** Logins that one request of a client waits for: one because there was none, others because it needs more. */
const MAX_ROUNDS = 4;

/**
 * @param logins by the name of their server
 * @param isInteractive a refusal begins a login; without, only what is kept is used
 */
export function loginPlugins(logins: ReadonlyMap<string, Login>, isInteractive: boolean): Plugin[] {
  const of = ({ mount }: Exchange) => logins.get(mount.server);
  const token: Plugin = {
    name: "login",
    order: "post",
    async forward(exchange, request, next) {
      const login = of(exchange);
      if (!login) return next(request);
      let used = await login.token();
      let answer = await next(withToken(request, used));
      let refusal = readRefusal(answer.status, answer.headers);
      if (refusal?.status === 401 && used !== undefined) {
        const other = await login.renewed(used).catch((cause: unknown) => {
          discard(answer);
          throw cause;
        });
        if (other !== undefined) {
          discard(answer);
          used = other;
          answer = await next(withToken(request, used));
          refusal = readRefusal(answer.status, answer.headers);
        }
      }
      if (refusal && isInteractive) login.begin(refusal);
      return answer;
    },
  };
  const wait: Plugin = {
    name: "login-wait",
    order: "pre",
    async forward(exchange, request, next) {
      let answer = await next(request);
      const login = of(exchange);
      if (!login || !isInteractive || exchange.origin !== "client") return answer;
      for (let round = 0; round < MAX_ROUNDS && readRefusal(answer.status, answer.headers); round++) {
        const { running, failure } = login;
        if (!running && failure) {
          discard(answer);
          throw failure;
        }
        // Without either, another request has logged in meanwhile.
        discard(answer);
        if (running) await whileThere(exchange, request, running);
        if (login.failure) throw login.failure;
        answer = await next(request);
      }
      return answer;
    },
  };
  return [wait, token];
}

function withToken(request: UpstreamRequest, token: string | undefined): UpstreamRequest {
  if (token === undefined) return request;
  const headers = HeaderList.from(request.headers);
  headers.set("authorization", `Bearer ${token}`);
  return { ...request, headers };
}

/** @throws ProxyError `CLIENT_GONE` when nobody waits any more */
function whileThere(exchange: Exchange, request: UpstreamRequest, login: Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    exchange.whenLeft(request, () => reject(new ProxyError("CLIENT_GONE", { server: exchange.mount.server })));
    login.then(resolve, reject);
  });
}
