/** A plugin that fetches what a request names, with the rules for URLs that strangers chose. */
import { type GuardedFetchOptions, type Plugin, createGuardedFetch, isProxyError } from "mcp-penstock";

interface FetchingOptions extends Omit<GuardedFetchOptions, "lookup"> {
  /** In place of DNS: what a name means the first time, the second … The last answer stays. Other names mean nothing. */
  names?: Readonly<Record<string, readonly (readonly string[])[]>>;
}

/**
 * `GET|POST /fetch?url=…` fetches it with the method of the request and tells status and body; a failure is the proxy's answer.
 * `POST /why` takes a list of URLs and tells what its log would say of each. `/lookups` tells which names were looked up.
 */
export function fetching({ names = {}, ...options }: FetchingOptions = {}): Plugin {
  const lookups: string[] = [];
  const guarded = createGuardedFetch({
    ...options,
    async lookup(host) {
      const answers = names[host] ?? [];
      const before = lookups.filter((one) => one === host).length;
      lookups.push(host);
      return answers[Math.min(before, answers.length - 1)] ?? [];
    },
  });
  const why = (named: string) =>
    guarded(named).then(
      ({ status }) => `answered ${status}`,
      (error: unknown) => (isProxyError(error) ? error.toLog() : "another error"),
    );
  return {
    name: "fetching",
    setup(app) {
      for (const method of ["GET", "POST"] as const)
        app.route({
          method,
          path: "/fetch",
          access: "public",
          async handler({ url: { searchParams } }) {
            const answer = await guarded(searchParams.get("url")!, { method });
            return Response.json({ status: answer.status, body: await answer.text() });
          },
        });
      app.route({
        method: "POST",
        path: "/why",
        access: "public",
        async handler(request) {
          const said: string[] = [];
          for (const named of JSON.parse(await request.text()) as string[]) said.push(await why(named));
          return Response.json(said);
        },
      });
      app.route({ method: "GET", path: "/lookups", access: "public", handler: () => Response.json(lookups) });
    },
  };
}
