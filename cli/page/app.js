// Starts the page: which view stands where, and the keys that work everywhere.

import { h, put } from "./dom.js";
import { keep } from "./holdings.js";
import { read } from "./route.js";
import * as first from "./first.js";
import * as logs from "./logs.js";
import * as metrics from "./metrics.js";
import * as services from "./services.js";
import * as store from "./store.js";
import * as trace from "./trace.js";
import * as traces from "./traces.js";

/** Each view's module has `title` and `open(main, route)`, which gives back `update(route)`, for other parameters, and `close()`. */
const VIEWS = { traces, trace, logs, metrics, services, store, send: first };

const main = document.getElementById("main");
let open = null;

function show() {
  const route = read();
  const name = Object.hasOwn(VIEWS, route.parts[0] ?? "") ? route.parts[0] : "traces";
  const place = [name, ...route.parts.slice(1)].join("/");
  for (const link of document.querySelectorAll("nav a")) {
    const isHere = link.getAttribute("href") === `#/${name === "trace" ? "traces" : name}`;
    if (isHere) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (open?.place === place && open.view.update) {
    open.view.update(route);
    return;
  }
  const isFirst = open === null;
  open?.view.close?.();
  put(main);
  main.className = `view-${name}`;
  document.title = `${VIEWS[name].title} · slipring`;
  open = { place, view: VIEWS[name].open(main, route) ?? {} };
  if (!isFirst) main.focus({ preventScroll: true });
  scrollBack(history.state?.y ?? 0);
}

let aim = 0;

/** Scrolls to where somebody was before who comes back, once so much is there; for a second at the most. */
function scrollBack(y) {
  const until = performance.now() + 1000;
  const mine = (aim += 1);
  const step = () => {
    scrollTo(0, y);
    if (mine === aim && Math.abs(scrollY - y) > 1 && performance.now() < until) requestAnimationFrame(step);
  };
  step();
}

let remember = null;

/** Keeps with the address how far down somebody was. */
function scrolled() {
  clearTimeout(remember);
  remember = setTimeout(() => history.replaceState({ y: scrollY }, ""), 200);
}

const LEADS = { t: "traces", l: "logs", m: "metrics", s: "services", o: "store" };
let isLed = false;

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const isTyping = event.target.matches("input:not([type=checkbox]):not([type=range]), select, textarea");
  if (event.key === "Escape" && isTyping) {
    event.target.blur();
    return;
  }
  if (isTyping || document.querySelector("dialog[open]")) return;
  if (isLed && LEADS[event.key]) {
    location.hash = `#/${LEADS[event.key]}`;
  } else if (event.key === "/") {
    const field = main.querySelector("[data-search]") ?? main.querySelector("input");
    field?.focus();
    field?.select?.();
  } else if (event.key === "?") {
    document.getElementById("keys").showModal();
  } else if (event.key === " " && !event.target.matches("button, a, summary, input")) {
    const pause = main.querySelector("[data-pause]");
    if (!pause) return;
    pause.click();
  } else {
    isLed = event.key === "g";
    return;
  }
  isLed = false;
  event.preventDefault();
}

/** What nobody expected is said, not hidden. */
function fail(what) {
  main.prepend(h("p", { class: "error", role: "alert" }, `The page has a fault: ${what}`));
}

history.scrollRestoration = "manual";
window.addEventListener("hashchange", show);
window.addEventListener("scroll", scrolled, { passive: true });
for (const own of ["wheel", "keydown", "pointerdown"]) window.addEventListener(own, () => { aim += 1; }, { passive: true });
window.addEventListener("keydown", key);
window.addEventListener("error", (event) => fail(event.message));
window.addEventListener("unhandledrejection", (event) => fail(event.reason?.message ?? event.reason));
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
document.getElementById("show-keys").addEventListener("click", () => document.getElementById("keys").showModal());
show();
keep(document.getElementById("holdings"));
