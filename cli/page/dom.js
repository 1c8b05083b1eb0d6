// Elements out of names and text. Text always goes in as text: nothing here can make markup of it.

import { plain } from "./text.js";

const SVG = "http://www.w3.org/2000/svg";

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [event, heed] of Object.entries(value)) element.addEventListener(event, heed);
    // By way of the object model: the policy lets no attribute hold styles.
    else if (name === "css") for (const [property, set] of Object.entries(value)) element.style.setProperty(property, set);
    else if (name === "value") element.value = value;
    else if (name === "title" || name === "aria-label") element.setAttribute(name, plain(value));
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter(isSome).map(node));
  return element;
}

const isSome = (child) => child !== null && child !== undefined && child !== false;
const node = (child) => (child instanceof Node ? child : document.createTextNode(plain(child)));

/** An element with properties and children; strings among these become text, with what is invisible escaped. */
export function h(tag, properties, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** The same for a drawing. */
export function s(tag, properties, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

/** Puts these in place of all that an element has. */
export function put(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter(isSome).map(node));
  return element;
}

export function button(text, act, properties) {
  return h("button", { type: "button", ...properties, on: { click: act } }, text);
}

/** Says it to who does not look, and shows it for a moment. */
export function say(text) {
  const said = document.getElementById("said");
  put(said, text);
  clearTimeout(say.timer);
  say.timer = setTimeout(() => put(said), 4000);
}

/** Copies to the clipboard; also where the page was not reached by a safe address. */
export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = h("textarea", { class: "aside", value: text });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  say(`${what} copied`);
}

/** Lets arrows move the focus among what a selector finds in a list. */
export function arrows(list, selector) {
  list.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const end = { Home: 0, End: -1 }[event.key];
    if ((step === undefined && end === undefined) || event.target.matches("input, select, textarea")) return;
    const all = [...list.querySelectorAll(selector)];
    const at = all.findIndex((one) => one === document.activeElement || one.contains(document.activeElement));
    const next = step === undefined ? all.at(end) : all[at + step];
    if (!next) return;
    event.preventDefault();
    next.focus();
  });
}

/** A table's head and rows; a head that begins with `#` is over numbers. */
export function table(heads, rows, properties) {
  const head = heads.map((head) => (head ? h("th", { scope: "col", class: head.startsWith("#") ? "number" : null }, head.replace("#", "")) : h("td")));
  const isNumber = heads.map((head) => head.startsWith("#"));
  const cells = (row) => row.map((cell, at) => h("td", { class: isNumber[at] ? "number" : null }, cell));
  return h("table", properties, h("thead", null, h("tr", null, head)),
    h("tbody", null, rows.map((row) => h("tr", null, cells(row)))));
}
