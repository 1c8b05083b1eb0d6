// The page in a real browser. `SLIPRING_URL` is a server with nothing in it and room for 30,000 spans, `SLIPRING_SMALL` one
// with room for a hundred, `SLIPRING_KEEPING` such a one that keeps failed traces, `SLIPRING_SHOP` a file that
// `slipring demo --write` wrote. `cargo test --test page` sets them.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer, request } from "node:http";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { launch, look } from "./browser.mjs";
import { HOSTILE, hostile, logs, nanos, post, sendFile, spanId, spans, traceId, wide } from "./otlp.mjs";

const { SLIPRING_URL: url, SLIPRING_SMALL: small, SLIPRING_KEEPING: keeping, SLIPRING_SHOP: shop } = process.env;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

const VIEWS = ["#/traces", "#/logs", "#/metrics?name=http.server.request.duration", "#/services", "#/store", "#/send"];

/** A test with a page of its own, in which nothing may go wrong. */
function shows(what, act, { at = url, ...options } = {}) {
  test(what, async () => {
    const seen = await look(browser, at, { acceptDownloads: true, ...options });
    seen.page.setDefaultTimeout(40_000);
    try {
      await act(seen);
      assert.deepEqual(seen.faults, []);
    } finally {
      await seen.close();
    }
  });
}

const ask = async (path, at = url) => (await fetch(at + path)).json();
const textOf = (page, selector) => page.locator(selector).first().innerText();

/** Of an answer's status the browser tells by itself: of no other, and then of none. */
function only(faults, status) {
  assert.ok(faults.length <= 1 && faults.every((fault) => fault.includes(status)), faults.join());
  faults.length = 0;
}

shows("an empty store shows how to send, with the server's ports, and can be tried at once", async ({ page, open }) => {
  await open("");
  const { grpc } = await ask("/api/server");
  await page.getByText(`OTEL_EXPORTER_OTLP_ENDPOINT=${url}`).waitFor();
  await page.getByText(`OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:${grpc.split(":").at(-1)}`).waitFor();
  await page.getByRole("button", { name: "Send a sample" }).click();
  await page.locator(".waterfall .row").nth(2).waitFor();
  assert.match(await textOf(page, "h1"), /hello: GET \/hello/);
  assert.equal(await page.locator(".waterfall .mark.error").count(), 1);
  await page.locator(".waterfall .row").nth(2).click();
  assert.match(await textOf(page, ".panel"), /Logs \(1\)[\s\S]*no greeting for this language[\s\S]*Measured here \(1\)[\s\S]*greetings/);
});

test("the shop's data is sent", () => sendFile(url, shop));

for (const colorScheme of ["light", "dark"]) {
  shows(`every view stands in ${colorScheme}, and is fit for all readers`, async ({ page, open }) => {
    const trace = (await ask("/api/traces?status=error&service=frontend&order=slowest&limit=1")).traces[0].trace_id;
    for (const view of [...VIEWS, `#/trace/${trace}`]) {
      await open(view);
      await page.locator("main table, main .code, main .logs li, main .row").first().waitFor();
      const { violations } = await page.evaluate(`${axe}; axe.run({ resultTypes: ["violations"] })`);
      const told = violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => `${node.html.slice(0, 150)} ${node.failureSummary}`).join(" | ")}`);
      assert.deepEqual(told, [], view);
    }
    const back = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    assert.equal(back, colorScheme === "dark" ? "rgb(20, 23, 27)" : "rgb(255, 255, 255)");
  }, { colorScheme });
}

shows("traces are asked for by conditions that stand in the address", async ({ page, open, faults }) => {
  await open("#/traces");
  await page.locator("a.open").nth(20).waitFor();
  await page.locator("input[name=service]").fill("cart");
  await page.keyboard.press("Enter");
  await page.waitForURL(/service=cart/);
  await page.locator("select[name=status]").selectOption("error");
  await page.waitForURL(/status=error/);
  await page.locator("input[name=attribute]").fill("resource:service.name=cart");
  await page.keyboard.press("Enter");
  await page.locator(".chip", { hasText: "attribute=resource:service.name=cart" }).waitFor();
  const expected = (await ask("/api/traces?service=cart&status=error&attribute=resource:service.name=cart")).traces.length;
  await page.locator(".report", { hasText: `${expected} trace` }).waitFor();
  await page.reload();
  await page.locator(".report", { hasText: `${expected} trace` }).waitFor();
  assert.equal(await page.locator("input[name=service]").inputValue(), "cart");
  await page.getByRole("button", { name: "Without service=cart", exact: true }).click();
  await page.waitForURL((address) => !address.href.includes("service=cart&"));
  // What the server does not understand it says.
  await page.locator("input[name=at_least]").fill("long");
  await page.keyboard.press("Enter");
  await page.locator(".report .error", { hasText: "at_least" }).waitFor();
  only(faults, "400");
});

shows("whoever comes back to a list is where he was", async ({ page, open }) => {
  await open("#/traces");
  await page.locator("a.open").nth(60).waitFor();
  await page.locator("#holdings", { hasText: "spans" }).waitFor();
  await page.waitForTimeout(1000);
  await page.locator("a.open").nth(60).scrollIntoViewIfNeeded();
  const y = await page.evaluate(() => scrollY);
  assert.ok(y > 500);
  await page.waitForTimeout(400);
  await page.locator("a.open").nth(60).click();
  await page.locator(".waterfall .row").first().waitFor();
  assert.equal(await page.evaluate(() => scrollY), 0);
  await page.goBack();
  await page.waitForFunction((y) => Math.abs(scrollY - y) < 2, y);
});

shows("an area of the scatter narrows the list", async ({ page, open }) => {
  await open("#/traces?limit=500");
  const box = await page.locator(".scatter svg").boundingBox();
  await page.mouse.move(box.x + box.width - 2, box.y + 2);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2, { steps: 5 });
  await page.mouse.up();
  await page.getByText("in the marked area").waitFor();
});

shows("what senders write is text", async ({ page, open, faults }) => {
  const sent = hostile(0xbad);
  for (const [signal, request] of Object.entries(sent)) await post(url, signal, request);
  const name = encodeURIComponent(HOSTILE);
  for (const view of [`#/traces?service=${name}`, `#/trace/${traceId(0xbad)}`, "#/logs", `#/metrics?name=${name}`, "#/services"]) {
    await open(view);
    await page.locator("main", { hasText: HOSTILE }).waitFor();
    await page.locator("main details").evaluateAll((all) => all.slice(0, 60).forEach((one) => { one.open = true; }));
    await page.waitForTimeout(200);
    assert.equal(await page.locator("img, main script, [onerror]").count(), 0, view);
    assert.ok(!/[\u202e\u0007]/.test(await page.locator("main").innerText()), view);
    const links = await page.locator("a[href]").evaluateAll((all) => all.map((one) => one.getAttribute("href")));
    assert.deepEqual(links.filter((link) => !/^(#|api(\/|$))/.test(link)), [], view);
  }
  await open(`#/trace/${traceId(0xbad)}`);
  assert.match(await textOf(page, ".panel h2"), /\\u\{202e\}gnp\.exe\\u\{7\}/);
  // None of a time's digits is lost.
  assert.match(await textOf(page, ".panel"), /\.123456789/);
  assert.match(await textOf(page, ".panel"), /210 ns/);
  assert.deepEqual(faults, []);
});

shows("logs come in live, wait while paused, and never fill the page", async ({ page, open }) => {
  await open("#/logs?service=tail");
  await page.getByText("live: new records").waitFor();
  await post(url, "logs", logs("tail", ["first word"]));
  await page.locator(".logs li", { hasText: "first word" }).waitFor();
  await page.getByRole("button", { name: "Pause" }).click();
  await post(url, "logs", logs("tail", ["second word"], { severityNumber: 17 }));
  await page.getByText("1 record waiting").waitFor();
  assert.equal(await page.locator(".logs li", { hasText: "second word" }).count(), 0);
  await page.getByRole("button", { name: "Go on" }).click();
  await page.locator(".logs .error", { hasText: "second word" }).waitFor();
  await post(url, "logs", logs("tail", Array.from({ length: 2500 }, (_, at) => `flood ${at}`)));
  await page.getByText("flood 2499", { exact: true }).waitFor();
  await page.getByText("older rows have left").waitFor();
  assert.ok(await page.locator(".logs li").count() <= 1000);
  await page.getByLabel("Text").fill("flood 24?1");
  await page.keyboard.press("Enter");
  await page.locator(".report", { hasText: "10 log records" }).waitFor();
});

shows("a log leads to its span", async ({ page, open }) => {
  const [record] = (await ask("/api/logs?limit=100&min_severity=warn")).logs.filter((log) => log.trace_id);
  await open(`#/logs?trace=${record.trace_id}`);
  await page.locator(".logs a.trace").first().click();
  await page.locator(".row.chosen").waitFor();
  assert.match(page.url(), new RegExp(`#/trace/${record.trace_id}`));
});

shows("a trace of 10,000 spans opens and moves at once", async ({ page, open }) => {
  await post(url, "traces", wide(0x10000, 10_000));
  const began = Date.now();
  await open(`#/trace/${traceId(0x10000)}`);
  await page.locator(".waterfall .row").first().waitFor();
  console.log(`# 10,000 spans: shown after ${Date.now() - began} ms`);
  const rows = () => page.locator(".waterfall .row").count();
  assert.ok(await rows() < 100);
  const frames = await page.evaluate(async () => {
    const element = document.querySelector(".waterfall");
    const times = [];
    let last = performance.now();
    for (let step = 0; step < 120; step++) {
      element.scrollTop += 2000;
      await new Promise(requestAnimationFrame);
      times.push(performance.now() - last);
      last = performance.now();
    }
    return times.sort((one, other) => one - other);
  });
  console.log(`# scrolling: median frame ${frames[60].toFixed(1)} ms, longest ${frames[119].toFixed(1)} ms`);
  assert.ok(await rows() < 100);
  await page.keyboard.press("End");
  await page.locator(".row.chosen", { hasText: "step 9999" }).waitFor();
  await page.keyboard.press("Home");
  await page.keyboard.press("/");
  await page.keyboard.type("step=777");
  await page.locator(".found", { hasText: "11 of 10,000" }).waitFor();
  await page.locator(".row.chosen .name", { hasText: /^step 777$/ }).waitFor();
  await page.getByLabel("only matches").check();
  assert.ok(await rows() <= 30);
  await page.getByLabel("only matches").uncheck();
  await page.getByLabel("Search in this trace").fill(">2%");
  await page.locator(".found", { hasText: "1 of 10,000" }).waitFor();
  await page.getByRole("button", { name: "Collapse all" }).click();
  assert.equal(await rows(), 1);
  await page.getByText("+9,999").waitFor();
});

shows("a trace can be walked by keys", async ({ page, open }) => {
  await open(`#/trace/${traceId(0x10000)}`);
  await page.locator(".row").first().waitFor();
  assert.ok(await page.locator(".waterfall").evaluate((one) => one === document.activeElement));
  const chosen = () => textOf(page, ".row.chosen .name");
  const press = async (...keys) => { for (const key of keys) await page.keyboard.press(key); };
  await press("ArrowDown", "ArrowDown");
  assert.equal(await chosen(), "step 2");
  await press("ArrowUp", "ArrowUp", "n");
  assert.equal(await chosen(), "step 9");
  await press("p", "n");
  assert.equal(await chosen(), "step 9");
  await press("ArrowLeft");
  assert.equal(await chosen(), "step 0");
  await press("ArrowLeft");
  assert.equal(await page.locator(".row").count(), 1);
  await press("ArrowRight", "ArrowRight");
  assert.equal(await chosen(), "step 1");
  await press("+");
  assert.ok(await page.locator(".overview .window").isVisible());
  await press("0");
  assert.ok(!await page.locator(".overview .window").isVisible());
  await press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.tagName), "H2");
  await press("Escape");
  assert.ok(await page.locator(".waterfall").evaluate((one) => one === document.activeElement));
  const address = page.url();
  await page.reload();
  await page.locator(".row.chosen", { hasText: "step 1" }).waitFor();
  assert.equal(page.url(), address);
});

shows("a trace that grows says so", async ({ page, open }) => {
  const span = (number, parent) => ({ traceId: traceId(0x906), spanId: spanId(number), parentSpanId: parent, name: `grown ${number}`, startTimeUnixNano: nanos(), endTimeUnixNano: nanos(1e6) });
  await post(url, "traces", spans("growing", [span(1, "")]));
  await open(`#/trace/${traceId(0x906)}`);
  await page.locator(".row").first().waitFor();
  await post(url, "traces", spans("growing", [span(2, spanId(1)), span(3, spanId(2))]));
  await page.getByText("2 spans more came in").waitFor();
  await page.getByRole("button", { name: "Show it as it is now" }).click();
  await page.locator(".row", { hasText: "grown 3" }).waitFor();
  await page.getByText("more came in").waitFor({ state: "detached" });
});

shows("lists and views can be walked by keys", async ({ page, open }) => {
  await open("#/traces");
  await page.locator("a.open").nth(5).waitFor();
  const press = async (...keys) => { for (const key of keys) await page.keyboard.press(key); };
  await press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
  await press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "main");
  await press("/");
  assert.equal(await page.evaluate(() => document.activeElement.name), "service");
  await press("Escape", "?");
  assert.ok(await page.getByRole("dialog").isVisible());
  await press("Escape");
  assert.ok(!await page.getByRole("dialog").isVisible());
  await press("?");
  await page.getByRole("button", { name: "Close" }).click();
  await page.locator("a.open").first().focus();
  await press("ArrowDown", "ArrowDown", "ArrowUp");
  const id = await page.evaluate(() => document.activeElement.dataset.trace);
  assert.equal(id, await page.locator("a.open").nth(1).getAttribute("data-trace"));
  await press("Enter");
  await page.waitForURL(new RegExp(`#/trace/${id}`));
  await press("g", "l");
  await page.waitForURL(/#\/logs/);
  await page.locator(".logs summary").nth(2).waitFor();
  await press(" ");
  assert.equal(await textOf(page, "[data-pause]"), "Go on");
});

shows("a trace is downloaded as OTLP and as trace events", async ({ page, open }) => {
  const { trace_id: id, spans: count } = (await ask("/api/traces?status=error&service=frontend&limit=1")).traces[0];
  await open(`#/trace/${id}`);
  const file = async (name) => {
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name }).click()]);
    return [download.suggestedFilename(), readFileSync(await download.path(), "utf8")];
  };
  const [name, text] = await file("OTLP/JSON");
  assert.equal(name, `trace-${id}.jsonl`);
  const lines = text.trim().split("\n").map((line) => JSON.parse(line));
  const all = lines[0].resourceSpans.flatMap((one) => one.scopeSpans).flatMap((one) => one.spans);
  assert.equal(all.length, count);
  const [, events] = await file("Perfetto");
  assert.equal(JSON.parse(events).traceEvents.filter(({ ph }) => ph === "X").length, count);
});

shows("metrics are drawn and read off", async ({ page, open }) => {
  await open("#/metrics");
  await page.getByPlaceholder("Filter names").fill("http.server.request.dur");
  await page.locator(".names a").first().click();
  await page.locator(".plot polyline").first().waitFor();
  await page.locator(".plot svg").focus();
  await page.keyboard.press("ArrowLeft");
  await page.locator(".reading").first().waitFor();
  for (const mode of ["p99", "mean", "rate"]) {
    await page.getByRole("link", { name: mode, exact: true }).click();
    await page.waitForURL(new RegExp(`show=${mode}`));
    await page.locator(".plot polyline").first().waitFor();
  }
  await page.getByRole("link", { name: "heat", exact: true }).click();
  const box = await page.locator(".plot canvas").boundingBox();
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  await page.locator(".readout", { hasText: "about" }).waitFor();
  assert.ok(!/NaN/.test(await page.locator("main").innerText()));
});

shows("services are drawn, and lead to their signals", async ({ page, open }) => {
  await open("#/services");
  await page.locator(".graph .node", { hasText: "checkout" }).waitFor();
  await page.locator("td a[href='#/logs?service=checkout']").click();
  await page.waitForURL(/#\/logs\?service=checkout/);
  await page.locator(".logs li").first().waitFor();
});

shows("the store says what it holds, and is audited", async ({ page, open }) => {
  await open("#/store");
  await page.getByRole("button", { name: "Audit" }).click();
  await page.getByText("In order:").waitFor();
  assert.match(await textOf(page, "main"), /Reach back[\s\S]*Evicted[\s\S]*Rejected[\s\S]*Not indexed yet/);
});

shows("what has left is always visible", async ({ page, open }) => {
  const part = (number) => ({ traceId: traceId(7), spanId: spanId(number), parentSpanId: number > 1 ? spanId(number - 1) : "", name: `part ${number}`, startTimeUnixNano: nanos(number), endTimeUnixNano: nanos(number + 1e6) });
  await post(small, "traces", spans("leaving", Array.from({ length: 80 }, (_, at) => part(at + 1))));
  await post(small, "traces", spans("others", Array.from({ length: 70 }, (_, at) => ({ ...part(at + 100), traceId: traceId(at + 100), parentSpanId: "" }))));
  await open(`#/trace/${traceId(7)}`);
  await page.getByText("Partial: some of its spans have been evicted").waitFor();
  await page.getByText("without its parent here").waitFor();
  await page.locator(".row .tag", { hasText: "orphan" }).first().waitFor();
  await page.locator("#holdings", { hasText: /50 evicted/ }).waitFor();
  await open("#/traces");
  await page.locator("td .tag", { hasText: "partial" }).waitFor();
}, { at: small });

shows("a trace that is kept says so, and is whole when the store has evicted it", async ({ page, open }) => {
  const part = (number) => ({ traceId: traceId(7), spanId: spanId(number), parentSpanId: number > 1 ? spanId(1) : "", name: `part ${number}`, startTimeUnixNano: nanos(number), endTimeUnixNano: nanos(number + 1e6), status: { code: 2 } });
  await post(keeping, "logs", logs("keeping", ["it is said"], { traceId: traceId(7), spanId: spanId(1) }));
  await post(keeping, "traces", spans("keeping", [1, 2, 3].map(part)));
  await open(`#/trace/${traceId(7)}`);
  await page.locator(".waterfall .row").nth(2).waitFor();
  while ((await ask("/api/stats", keeping)).kept.records.logs < 1) await page.waitForTimeout(50);
  await post(keeping, "traces", spans("others", Array.from({ length: 300 }, (_, at) => ({ ...part(at + 100), traceId: traceId(at + 100), parentSpanId: "", status: {} }))));
  await page.reload();
  await page.getByText("by the policy errors; the stores have evicted 3 spans of it.").waitFor();
  assert.equal(await page.locator(".waterfall .row").count(), 3);
  assert.equal(await page.getByText("Partial").count(), 0);
  await open("#/traces?status=error");
  await page.locator("td .tag", { hasText: "kept" }).waitFor();
  assert.match(await textOf(page, ".report"), /3 records from kept traces/);
  await open(`#/logs?trace=${traceId(7)}`);
  await page.getByText("it is said").waitFor();
}, { at: keeping });

shows("a server that is away is told of, and its coming back seen", async ({ page, open, faults }) => {
  await open("#/traces");
  await page.locator("#holdings", { hasText: "spans" }).waitFor();
  await page.context().setOffline(true);
  await page.locator("#holdings", { hasText: "The server does not answer" }).waitFor();
  await page.context().setOffline(false);
  await page.locator("#holdings", { hasText: "spans" }).waitFor();
  assert.ok(faults.every((fault) => fault.includes("ERR_INTERNET_DISCONNECTED")), faults.join());
  faults.length = 0;
});

shows("what is not there is said", async ({ page, open, faults }) => {
  await open(`#/trace/${traceId(0xdead)}`);
  await page.getByText("nothing is here of trace").waitFor();
  only(faults, "404");
});

test("the page works below a proxy's prefix", async () => {
  const proxy = createServer((asked, answer) => {
    if (!asked.url.startsWith("/tools/slipring/")) { answer.writeHead(404).end(); return; }
    const on = request(url + asked.url.slice("/tools/slipring".length), { method: asked.method, headers: { ...asked.headers, host: new URL(url).host } }, (came) => {
      answer.writeHead(came.statusCode, came.headers);
      came.pipe(answer);
    });
    on.on("error", () => answer.destroy());
    answer.on("close", () => on.destroy());
    asked.pipe(on);
  });
  await new Promise((listens) => proxy.listen(0, "127.0.0.1", listens));
  const at = `http://127.0.0.1:${proxy.address().port}/tools/slipring`;
  const { page, open, faults, close } = await look(browser, at);
  try {
    const trace = (await ask("/api/traces?status=error&limit=1")).traces[0].trace_id;
    for (const view of [...VIEWS, `#/trace/${trace}`]) {
      await open(view);
      await page.locator("main table, main .code, main .logs li, main .row").first().waitFor();
    }
    await open("#/send");
    await page.getByText(`OTEL_EXPORTER_OTLP_ENDPOINT=${at}`).waitFor();
    assert.deepEqual(faults, []);
  } finally {
    await close();
    proxy.close();
    proxy.closeAllConnections();
  }
});
