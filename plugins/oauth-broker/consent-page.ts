/** The page on which a user lets a client in, before anybody is sent to the provider. */
import type { Client } from "./clients.ts";
import { html, page } from "../_page.ts";
import type { Asked } from "./sealed.ts";

/** What the page shows. */
export interface ConsentView {
  client: Client;
  asked: Asked;
  /** What the provider will be asked for. */
  scopes: readonly string[];
  server: string;
  /** Where the user logs in next. */
  providerHost: string;
  /** Path of the form. */
  action: string;
  ticket: string;
  cookies: readonly string[];
}

export function consentPage({ client, asked, scopes, server, providerHost, action, ticket, cookies }: ConsentView) {
  const name = client.name ?? client.host ?? "An application without a name";
  const title = `Allow access to ${server}?`;
  const host =
    client.host === undefined
      ? html`<small>This is the name that the application gives itself. Nobody has checked it.</small>`
      : html`<small>As ${client.host} says.</small>`;
  const permissions =
    scopes.length === 0
      ? html`<dd>What your account at ${providerHost} gives it</dd>`
      : html`<dd>
          <ul>
            ${scopes.map((scope) => html`<li><code>${scope}</code></li>`)}
          </ul>
        </dd>`;
  const body = html`<h1>${title}</h1>
    <p>
      <strong>${name}</strong> wants to use the server <strong>${server}</strong> in your name. If you allow it, you log
      in at <strong>${providerHost}</strong> next.
    </p>
    <dl>
      <dt>Application</dt>
      <dd>${name}${host}</dd>
      <dt>Sends you back to</dt>
      <dd><code>${asked.redirectUri}</code></dd>
      <dt>Permissions</dt>
      ${permissions}
      <dt>Server</dt>
      <dd>
        ${server}<small><code>${asked.resource}</code></small>
      </dd>
    </dl>
    <p id="advice">Did you begin this yourself just now? If not, deny it.</p>
    <form method="post" action="${action}" aria-describedby="advice">
      <input type="hidden" name="ticket" value="${ticket}" />
      <button type="submit" name="decision" value="approve">Allow</button>
      <button type="submit" name="decision" value="deny">Deny</button>
    </form>`;
  return page({ status: 200, title, body, hasForm: true, cookies });
}
