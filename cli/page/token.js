// The token that the server may ask for. It is kept in this tab alone, and sent to this server only.

import { h } from "./dom.js";

const NAME = "slipring.token";
let token = null;

try {
  token = sessionStorage.getItem(NAME);
} catch {
  // This browser keeps nothing for pages; the variable does, until the page is loaded again.
}

function keep(given) {
  token = given;
  try { sessionStorage.setItem(NAME, given); } catch { /* as above */ }
}

let asking = null;

/** Asks the user; several questions that need it at once ask together. */
function login(why) {
  asking ??= new Promise((resolve) => {
    const field = h("input", { type: "password", name: "token", autocomplete: "current-password", required: true, "aria-label": "Token" });
    const form = h("form", { method: "dialog", on: { submit: (event) => {
      event.preventDefault();
      keep(field.value.trim());
      dialog.close();
      dialog.remove();
      asking = null;
      resolve();
    } } }, h("p", null, why), h("p", null, field, " ", h("button", null, "Log in")));
    const dialog = h("dialog", { id: "login", "aria-labelledby": "login-title", on: { cancel: (event) => event.preventDefault() } },
      h("h2", { id: "login-title" }, "This server asks for its token"), form);
    document.body.append(dialog);
    dialog.showModal();
    field.focus();
  });
  return asking;
}

/** As `fetch`, with the token; where the server wants one, the user is asked first. */
export async function request(url, options = {}) {
  for (;;) {
    const sent = token;
    const headers = sent === null ? options.headers : { ...options.headers, authorization: `Bearer ${sent}` };
    const response = await fetch(url, { ...options, headers });
    if (response.status !== 401) return response;
    options.signal?.throwIfAborted();
    // Another question may have asked for it meanwhile.
    if (token === sent) await login(sent === null ? "It is what was given to `slipring serve` by --token-file or SLIPRING_TOKEN." : "That is another token than the server's.");
    options.signal?.throwIfAborted();
  }
}

/** Downloads what a link leads to, where a token is needed: the browser would ask without it. */
export async function fetched(event) {
  if (token === null) return;
  event.preventDefault();
  const response = await request(event.currentTarget.href);
  const name = /filename="([^"]+)"/.exec(response.headers.get("content-disposition") ?? "")?.[1] ?? "slipring.jsonl";
  const url = URL.createObjectURL(await response.blob());
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
