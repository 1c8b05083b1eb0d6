// Questions to the server that this page came from.

import { request } from "./token.js";

/** An answer's own words on why there is none. */
export class Refused extends Error {
  constructor(status, what) {
    super(what);
    this.status = status;
  }
}

/** The address of a question. */
export function address(path, params = []) {
  const query = new URLSearchParams(params instanceof URLSearchParams || Array.isArray(params) ? [...params] : Object.entries(params));
  return query.size ? `${path}?${query}` : path;
}

/** The answer, how long it took in milliseconds, and how many bytes it has. */
export async function ask(path, params, signal) {
  const url = address(path, params);
  const began = performance.now();
  let response, text;
  try {
    response = await request(url, { signal, headers: { accept: "application/json" } });
    text = await response.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "The server does not answer. Is it still running?");
  }
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    throw new Refused(response.status, `The answer is no JSON (status ${response.status}).`);
  }
  if (!response.ok) throw new Refused(response.status, answer?.error ?? `status ${response.status}`);
  return { answer, took: performance.now() - began, bytes: text.length, url };
}

/** Puts each record's resource, scope and metric in place of their numbers in the answer's lists. */
export function resolve(answer, ...lists) {
  for (const record of lists.flat()) {
    for (const [name, all] of [["resource", answer.resources], ["scope", answer.scopes], ["metric", answer.metrics]]) {
      if (typeof record[name] === "number") record[name] = all[record[name]];
    }
  }
}

/** The same where the text itself is wanted. */
export async function text(path, params) {
  const response = await request(address(path, params));
  const text = await response.text();
  if (!response.ok) throw new Refused(response.status, text);
  return text;
}

/** Asks one question at a time: a new one puts the one before it out. */
export class Asker {
  #controller = null;

  async ask(path, params) {
    this.stop();
    const controller = (this.#controller = new AbortController());
    return ask(path, params, controller.signal);
  }

  stop() {
    this.#controller?.abort();
  }
}

export const isAborted = (error) => error?.name === "AbortError";
