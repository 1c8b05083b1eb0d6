// A browser that tells of everything that must not be: errors, dialogs, requests to elsewhere.

import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { chromium } from "playwright-core";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];

/** Where a browser is; `SLIPRING_BROWSER` says so, or the path has one. */
export function found() {
  const set = process.env.SLIPRING_BROWSER;
  if (set) return set;
  const places = (process.env.PATH ?? "").split(delimiter).flatMap((folder) => NAMES.map((name) => join(folder, name)));
  return places.find((place) => existsSync(place));
}

export const launch = () => chromium.launch({ executablePath: found(), args: ["--no-sandbox", "--disable-gpu"] });

/** A page on a server; `faults` has what went wrong. */
export async function look(browser, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1400, height: 900 }, locale: "en-GB", timezoneId: "UTC", ...options });
  const page = await context.newPage();
  const faults = [];
  page.on("console", (message) => { if (["error", "warning"].includes(message.type())) faults.push(`console: ${message.text()}`); });
  page.on("pageerror", (error) => faults.push(`error: ${error.stack}`));
  page.on("dialog", (dialog) => { faults.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on("request", (request) => { if (!request.url().startsWith(`${url}/`) && !request.url().startsWith("blob:")) faults.push(`asked elsewhere: ${request.url()}`); });
  const open = async (address) => {
    await page.goto(`${url}/${address}`);
    await page.locator("main h1").first().waitFor();
  };
  return { page, faults, open, close: () => context.close() };
}
