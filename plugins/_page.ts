/** Pages for people: no scripts, nothing from elsewhere, in no frame, kept by nobody. */
/** HTML that may be put into a page as it is. */
interface Html {
  readonly html: string;
}

/** Text becomes text: whatever is filled in is escaped, unless it is a piece of HTML itself. */
export function html(parts: TemplateStringsArray, ...values: readonly (string | Html | readonly Html[])[]): Html {
  const filled = values.map((value) =>
    typeof value === "string" ? escape(value) : [value].flat().reduce((all, each) => all + (each as Html).html, ""),
  );
  return { html: parts.reduce((all, part, i) => all + part + (filled[i] ?? ""), "") };
}

function escape(text: string): string {
  return text.replace(/[&<>"'`]/g, (character) => `&#${character.charCodeAt(0)};`);
}

const STYLE = `
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
* { box-sizing: border-box; }
body { margin: 0; padding: 1rem; background: light-dark(#f3f4f6, #14161a); color: light-dark(#1a1c20, #e8eaed); }
main { max-width: 36rem; margin: 2rem auto; padding: clamp(1rem, 5vw, 2rem); border-radius: .75rem;
  background: light-dark(#fff, #1f2228); border: 1px solid light-dark(#d5d8de, #3a3f48); }
h1 { margin: 0 0 1rem; font-size: 1.375rem; line-height: 1.25; text-wrap: balance; overflow-wrap: anywhere; }
dl { margin: 1.5rem 0; } dt { font-weight: 600; margin-top: .75rem; } dd { margin: 0; overflow-wrap: anywhere; }
ul { margin: 0; padding-left: 1.25rem; } code { font: .9375rem ui-monospace, monospace; }
small { color: light-dark(#565b66, #a8adb8); font-size: .875rem; display: block; }
form { display: flex; flex-wrap: wrap; gap: .75rem; }
button { font: inherit; font-weight: 600; min-height: 2.75rem; padding: .5rem 1.25rem; border-radius: .5rem; cursor: pointer;
  flex: 1 1 10rem; border: 1px solid light-dark(#6b7280, #8b919d); background: transparent; color: inherit; }
button[value=approve] { background: light-dark(#1d4ed8, #93b4ff); border-color: transparent; color: light-dark(#fff, #10131a); }
a { color: light-dark(#1d4ed8, #93b4ff); overflow-wrap: anywhere; }
:focus-visible { outline: 3px solid light-dark(#1d4ed8, #93b4ff); outline-offset: 3px; }
@media (forced-colors: active) { button { border-color: ButtonText; } }
`;

/** What a page is made of. */
export interface Page {
  status: number;
  title: string;
  body: Html;
  /** Its forms are posted to this proxy; without, to nobody. */
  hasForm?: boolean;
  /** Where the browser goes at once. */
  next?: string;
  cookies?: readonly string[];
}

export function page({ status, title, body, hasForm = false, next, cookies = [] }: Page): Response {
  const nonce = crypto.randomUUID();
  const refresh = next === undefined ? html`` : html`<meta http-equiv="refresh" content="${`0;url=${next}`}" />`;
  const document = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="robots" content="noindex" />
        ${refresh}
        <title>${title}</title>
        <style nonce="${nonce}">
          ${{ html: STYLE }}
        </style>
      </head>
      <body>
        <main>${body}</main>
      </body>
    </html> `;
  const headers = new Headers({
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-store",
    "content-security-policy": `default-src 'none'; style-src 'nonce-${nonce}'; base-uri 'none'; frame-ancestors 'none'; form-action ${hasForm ? "'self'" : "'none'"}`,
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    // With `no-referrer` browsers send `Origin: null` with the form (Fetch §3.1), as a page of nowhere would. Others learn nothing.
    "referrer-policy": hasForm ? "same-origin" : "no-referrer",
    "cross-origin-opener-policy": "same-origin",
  });
  for (const cookie of cookies) headers.append("set-cookie", cookie);
  return new Response(document.html, { status, headers });
}

/** Somebody cannot be sent on. @param why and what to do */
export function problem(title: string, why: string, status: number = 400): Response {
  return page({
    status,
    title,
    body: html`<h1>${title}</h1>
      <p>${why}</p>`,
  });
}

/**
 * Sends the browser on after a form. Not with a redirect: `form-action` would have to name every place that the provider, and
 * then the client, redirect to (CSP3 §6.4.1).
 */
export function leave(title: string, next: string, cookies: readonly string[] = []): Response {
  const body = html`<h1>${title}</h1>
    <p>If nothing happens, <a href="${next}" rel="noreferrer">go on here</a>.</p>`;
  return page({ status: 200, title, body, next, cookies });
}

/** Sends the browser on at once. */
export function redirect(next: string, cookies: readonly string[] = []): Response {
  const headers = new Headers({ location: next, "cache-control": "no-store", "referrer-policy": "no-referrer" });
  for (const cookie of cookies) headers.append("set-cookie", cookie);
  return new Response(null, { status: 302, headers });
}

/** A redirect URI of the proxy's own was called with a `state` that it did not make, or too late. */
export function unknownState(): Response {
  return problem(
    "This login is not known here",
    "It was begun elsewhere, or too long ago. Go back to the application and begin again.",
  );
}

/** Nobody has registered the application that wants a login. */
export function unknownClient(): Response {
  return problem(
    "Unknown application",
    "No application is known here under the id in this address, so you were not sent on. Go back to the application, remove this server there, and add it again.",
  );
}
