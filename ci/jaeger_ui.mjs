// Jaeger UI in a real browser, in front of `slipring serve --jaeger`. `JAEGER_UI` is the folder that its build wrote,
// `SLIPRING_PROGRAM` the program, `SLIPRING_SHOP` a file that `slipring demo --write` wrote. `ci/jaeger-ui` sets them.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { createServer, request } from "node:http";
import { extname, join, normalize } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { launch } from "./browser.mjs";

const { JAEGER_UI: built, SLIPRING_PROGRAM: program, SLIPRING_SHOP: shop } = process.env;
const PATIENCE = 60_000;
const KINDS = { ".css": "text/css", ".html": "text/html", ".js": "text/javascript", ".svg": "image/svg+xml", ".ico": "image/x-icon", ".png": "image/png" };
let serving, browser, front, ui, otlp, jaeger;

/** Starts the server on free ports; they are known once it has said them. */
async function serve() {
  const local = "127.0.0.1:0";
  serving = spawn(program, ["serve", "--grpc", local, "--http", local, "--jaeger", local, "--traces", "50k"], { stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, NO_COLOR: "1" } });
  for await (const line of createInterface({ input: serving.stderr })) {
    const [address] = /http:\/\/[^\s,]+/.exec(line) ?? [];
    if (line.includes("Jaeger's query API on")) jaeger = address;
    if (line.includes("OTLP/HTTP and questions on")) {
      otlp = address;
      break;
    }
  }
  serving.stderr.resume();
}

/** Sends the shop's spans, moved in time so that the last of them has just ended. */
async function send() {
  const lines = readFileSync(shop, "utf8").split("\n").filter((line) => line.startsWith('{"resourceSpans'));
  const time = /"((?:start|end)TimeUnixNano|timeUnixNano)":"(\d+)"/g;
  let last = 0n;
  for (const line of lines) for (const [, , nanos] of line.matchAll(time)) if (BigInt(nanos) > last) last = BigInt(nanos);
  const moved = BigInt(Date.now()) * 1_000_000n - last;
  for (const line of lines) {
    const body = line.replaceAll(time, (_, name, nanos) => `"${name}":"${BigInt(nanos) + moved}"`);
    const answer = await fetch(`${otlp}/v1/traces`, { method: "POST", headers: { "content-type": "application/json" }, body });
    assert.equal(answer.status, 200, await answer.text());
  }
}

/** Serves the UI's files, its page under every other path, and passes on what it asks for, as Jaeger's own server does. */
function inFront() {
  return createServer((asked, answer) => {
    const path = new URL(asked.url, "http://ui").pathname;
    if (path.startsWith("/api/")) {
      const passed = request(jaeger + asked.url, { method: asked.method, headers: { ...asked.headers, host: new URL(jaeger).host } }, (told) => {
        answer.writeHead(told.statusCode, told.headers);
        told.pipe(answer);
      });
      passed.on("error", (error) => answer.writeHead(502).end(String(error)));
      asked.pipe(passed);
      return;
    }
    const file = join(built, normalize(path));
    const found = file.startsWith(built) && existsSync(file) && statSync(file).isFile() ? file : join(built, "index.html");
    answer.writeHead(200, { "content-type": KINDS[extname(found)] ?? "application/octet-stream" }).end(readFileSync(found));
  });
}

before(async () => {
  await serve();
  await send();
  front = inFront();
  await new Promise((listens) => front.listen(0, "127.0.0.1", listens));
  ui = `http://127.0.0.1:${front.address().port}`;
  browser = await launch();
}, { timeout: PATIENCE });

after(async () => {
  await browser?.close();
  front?.closeAllConnections();
  front?.close();
  serving?.kill();
});

/** A test with a page of its own. No request may fail or go elsewhere, and the console must show no error. */
function shows(what, act) {
  test(what, { timeout: 3 * PATIENCE }, async () => {
    const context = await browser.newContext({ viewport: { width: 1400, height: 1000 }, locale: "en-GB", timezoneId: "UTC" });
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE);
    const faults = [];
    page.on("console", (message) => { if (message.type() === "error") faults.push(`console: ${message.text()}`); });
    page.on("pageerror", (error) => faults.push(`error: ${error.stack}`));
    page.on("requestfailed", (failed) => { if (failed.failure()?.errorText !== "net::ERR_ABORTED") faults.push(`failed: ${failed.url()}`); });
    page.on("response", (answer) => { if (answer.status() >= 400) faults.push(`${answer.status()}: ${answer.url()}`); });
    page.on("request", (one) => { if (!/^(blob|data):/.test(one.url()) && !one.url().startsWith(`${ui}/`)) faults.push(`elsewhere: ${one.url()}`); });
    try {
      await act(page);
      assert.deepEqual(faults, []);
    } catch (wrong) {
      if (process.env.JAEGER_UI_SHOT) await page.screenshot({ path: process.env.JAEGER_UI_SHOT });
      throw new Error(`${wrong.stack}\n${page.url()}\n${faults.join("\n")}`, { cause: wrong });
    } finally {
      await context.close();
    }
  });
}

const ask = async (path) => {
  const answer = await fetch(jaeger + path);
  assert.equal(answer.status, 200, path);
  return answer.json();
};

const RESULT = ".ResultItem";

/** Chooses from one of the form's lists, as a person would. */
async function choose(page, list, value) {
  const box = page.getByTestId(list);
  await box.click();
  await page.keyboard.type(value);
  await page.locator(".ant-select-item-option").filter({ hasText: value }).first().waitFor();
  await page.keyboard.press("Enter");
}

/** Opens the form of the search and fills it. */
async function search(page, { service, operation, tags, minDuration, maxDuration, limit = "1500" }) {
  await page.goto(`${ui}/search`);
  await choose(page, "service", service);
  if (operation) await choose(page, "operation", operation);
  for (const [name, value] of Object.entries({ tags, minDuration, maxDuration, resultsLimit: limit })) {
    if (value) await page.locator(`input[name=${name}]`).fill(value);
  }
  const told = page.waitForResponse((answer) => answer.url().includes("/api/v3/trace-summaries"));
  await page.getByRole("button", { name: "Find Traces" }).click();
  const { summaries } = await (await told).json();
  if (summaries.length > 0) {
    // Versions differ in whether a list or a table comes first.
    await page.locator(".ant-radio-button-wrapper").filter({ hasText: "List" }).click();
    await page.locator(RESULT).first().waitFor();
  }
  return summaries;
}

/** Spans of the older API that were asked for, to know what has to be found. */
const spansOf = async (service) => (await ask(`/api/traces?service=${service}&limit=1500`)).data.flatMap((trace) =>
  trace.spans.filter((span) => trace.processes[span.processID].serviceName === service));

shows("a search by service shows its traces", async (page) => {
  const summaries = await search(page, { service: "frontend" });
  assert.ok(summaries.length > 100, `${summaries.length} traces`);
  assert.ok(summaries.every((one) => one.services.some((service) => service.name === "frontend")));
  await page.getByText(`${summaries.length} Traces`).first().waitFor();
  assert.match(await page.locator(RESULT).first().innerText(), /\d+ Spans?[\s\S]*frontend/);
});

shows("a search by operation shows fewer", async (page) => {
  const all = await spansOf("frontend");
  const operation = all[0].operationName;
  const summaries = await search(page, { service: "frontend", operation });
  const expected = new Set(all.filter((span) => span.operationName === operation).map((span) => span.traceID.padStart(32, "0")));
  assert.deepEqual(new Set(summaries.map((one) => one.traceId)), expected);
});

shows("a search by tag shows the traces that have it", async (page) => {
  const all = await spansOf("frontend");
  const tag = all.flatMap((span) => span.tags).find((tag) => tag.key.startsWith("http.") && tag.type === "string" && !/[\s"=]/.test(tag.value));
  const failed = (await search(page, { service: "frontend", tags: "error=true" })).length;
  const tagged = await search(page, { service: "frontend", tags: `${tag.key}=${tag.value}` });
  const expected = new Set(all.filter((span) => span.tags.some((one) => one.key === tag.key && one.value === tag.value)).map((span) => span.traceID.padStart(32, "0")));
  assert.deepEqual(new Set(tagged.map((one) => one.traceId)), expected);
  assert.ok(failed > 0 && failed < new Set(all.map((span) => span.traceID)).size, `${failed} failed`);
});

shows("a search by duration shows slow traces", async (page) => {
  const all = await spansOf("frontend");
  const summaries = await search(page, { service: "frontend", minDuration: "50ms", maxDuration: "1.5s" });
  const fits = (span) => span.duration >= 50_000 && span.duration <= 1_500_000;
  const expected = new Set(all.filter(fits).map((span) => span.traceID.padStart(32, "0")));
  assert.ok(expected.size > 0, "no trace is slow");
  assert.deepEqual(new Set(summaries.map((one) => one.traceId)), expected);
});

shows("a trace opens with its waterfall, and a span with its tags", async (page) => {
  await search(page, { service: "frontend", limit: "20" });
  await page.locator(`${RESULT} a`).first().click();
  await page.waitForURL("**/trace/**");
  const rows = page.locator(".span-row");
  await rows.nth(2).waitFor();
  const id = new URL(page.url()).pathname.split("/").at(-1);
  const { data: [trace] } = await ask(`/api/traces/${id}`);
  assert.ok(trace.spans.length > 2);
  assert.match(await page.locator("h1").first().innerText(), new RegExp(trace.spans[0].operationName.replace(/[^\w ]/g, ".")));
  // A long list is drawn as far as it can be seen.
  assert.ok((await rows.count()) >= Math.min(trace.spans.length, 10), `${await rows.count()} of ${trace.spans.length} rows`);
  await rows.first().locator(".span-name").click();
  await page.getByText("span.kind").first().waitFor();
});

shows("the dependency graph has the services and their calls", async (page) => {
  const { data: links } = await ask("/api/dependencies");
  assert.ok(links.length > 3 && links.some((link) => link.parent === "frontend"));
  await page.goto(`${ui}/dependencies`);
  for (const name of new Set(links.flatMap((link) => [link.parent, link.child]))) {
    await page.locator(".DependencyGraph--graphWrapper").getByText(name, { exact: true }).first().waitFor();
  }
});

shows("two traces are compared", async (page) => {
  await search(page, { service: "frontend", limit: "20" });
  const boxes = page.locator(`${RESULT} input[type=checkbox]`);
  await boxes.nth(0).check();
  await boxes.nth(1).check();
  await page.getByRole("button", { name: "Compare Traces" }).click();
  await page.waitForURL("**/trace/*...*");
  await page.locator(".TraceDiffGraph--graphWrapper").getByText("frontend").first().waitFor();
});
