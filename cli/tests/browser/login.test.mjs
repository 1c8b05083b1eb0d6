// The page of a server that asks for a token: `SLIPRING_LOCKED` is one, `SLIPRING_LOCKED_TOKEN` its token.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, look } from "./browser.mjs";

const { SLIPRING_LOCKED: url, SLIPRING_LOCKED_TOKEN: token } = process.env;
let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

test("the page asks for the token, keeps it for the tab, and sends it with everything", async () => {
  const { page, faults, close } = await look(browser, url);
  page.setDefaultTimeout(20_000);
  await page.goto(`${url}/#/send`);
  const login = page.locator("dialog#login");
  await login.waitFor();
  await login.locator("input").fill("another-token-than-the-servers");
  await login.locator("button").click();
  await page.locator("dialog#login", { hasText: "another token" }).waitFor();
  // It cannot be put away: there is nothing behind it.
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("dialog#login").count(), 1);
  await login.locator("input").fill(token);
  await page.keyboard.press("Enter");
  await login.waitFor({ state: "detached" });
  // What is to be copied has a place for the token, and not the token.
  await page.locator("pre", { hasText: "OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20" }).first().waitFor();
  assert.ok(!(await page.locator("main").innerText()).includes(token));
  await page.getByRole("button", { name: "Send a sample" }).click();
  await page.waitForURL(/#\/trace\//);
  // The live tail is let in as well, and a page loaded again.
  await page.goto(`${url}/#/logs`);
  await page.reload();
  await page.getByText("no greeting for this language").first().waitFor();
  await page.goto(`${url}/#/send`);
  await page.getByRole("button", { name: "Send a sample" }).click();
  await page.waitForURL(/#\/trace\//);
  assert.equal(await page.locator("dialog#login").count(), 0);
  // The browser itself tells of answers with status 401: that is all.
  assert.deepEqual(faults.filter((fault) => !fault.includes("401")), []);
  await close();

  const other = await look(browser, url);
  await other.page.goto(`${url}/#/traces`);
  await other.page.locator("dialog#login").waitFor();
  await other.close();
});
