// Server-sent events, as `EventSource` gives them, but with the token: that one can send no header.

import { request } from "./token.js";

const AGAIN = 3000;

export class Stream extends EventTarget {
  static CONNECTING = 0;
  static OPEN = 1;
  static CLOSED = 2;

  readyState = Stream.CONNECTING;
  #controller = new AbortController();
  #timer = null;

  constructor(url) {
    super();
    this.#run(url);
  }

  close() {
    this.readyState = Stream.CLOSED;
    clearTimeout(this.#timer);
    this.#controller.abort();
  }

  async #run(url) {
    let isRefused = false;
    try {
      const response = await request(url, { signal: this.#controller.signal, headers: { accept: "text/event-stream" } });
      isRefused = !response.ok;
      if (!isRefused) await this.#read(response);
    } catch {
      // The server is away, or this was closed.
    }
    if (this.readyState === Stream.CLOSED) return;
    this.readyState = isRefused ? Stream.CLOSED : Stream.CONNECTING;
    if (!isRefused) this.#timer = setTimeout(() => this.#run(url), AGAIN);
    this.dispatchEvent(new Event("error"));
  }

  async #read(response) {
    this.readyState = Stream.OPEN;
    this.dispatchEvent(new Event("open"));
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "", type = "", data = [];
    for (;;) {
      const { value, done } = await reader.read();
      if (done || this.readyState === Stream.CLOSED) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        const text = line.endsWith("\r") ? line.slice(0, -1) : line;
        if (text === "") {
          if (data.length > 0) this.dispatchEvent(new MessageEvent(type || "message", { data: data.join("\n") }));
          type = "";
          data = [];
        } else if (text.startsWith("data:")) data.push(text.slice(5).replace(/^ /, ""));
        else if (text.startsWith("event:")) type = text.slice(6).trim();
      }
    }
  }
}
