// Pictures of every view, light and dark: `node screenshots.mjs URL FOLDER`, for a server that has the shop's data
// (`slipring demo --write` and `sendFile`, or a third argument: the file to send before).

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { launch, look } from "./browser.mjs";
import { sendFile } from "./otlp.mjs";

const [url, folder, file] = process.argv.slice(2);
if (file) await sendFile(url, file);
mkdirSync(folder, { recursive: true });
const slowest = await (await fetch(`${url}/api/traces?service=frontend&order=slowest&limit=1`)).json();
const views = {
  traces: "#/traces",
  trace: `#/trace/${slowest.traces[0].trace_id}`,
  logs: "#/logs",
  metrics: "#/metrics?name=http.server.request.duration&service=frontend",
  services: "#/services",
  store: "#/store",
  send: "#/send",
};
const browser = await launch();
for (const colorScheme of ["light", "dark"]) {
  const { page, open, close } = await look(browser, url, { colorScheme, viewport: { width: 1280, height: 800 } });
  for (const [name, view] of Object.entries(views)) {
    await open(view);
    await page.waitForTimeout(800);
    await page.screenshot({ path: join(folder, `${name}-${colorScheme}.png`) });
  }
  await close();
}
await browser.close();
