// What every record has: attributes, a resource, a scope; and the record itself, as JSON.

import { button, copy, h, put } from "./dom.js";
import { attributeIs } from "./filters.js";
import { to } from "./route.js";
import { display } from "./text.js";

/** Attributes as a table, each with a link to the records that have the same. */
export function attributes(all, level, view) {
  const rows = Object.entries(all).map(([name, value]) => h("tr", null, h("th", { scope: "row" }, name), h("td", null, shown(value)),
    h("td", null, view && h("a", { class: "same", href: to(view, { attribute: attributeIs(level, name, value) }), title: `${view} with the same ${name}` }, "same"))));
  return rows.length ? h("table", { class: "attributes" }, h("tbody", null, rows)) : h("p", { class: "none" }, "none");
}

function shown(value) {
  const text = display(value);
  const isLong = text.length > 300 || text.split("\n").length > 4;
  const kind = typeof value === "string" ? "" : value !== null && typeof value === "object" ? "json" : typeof value;
  const whole = () => h("pre", { class: kind }, text);
  if (!isLong) return h("span", { class: `value ${kind}` }, text);
  const details = h("details", null, h("summary", null, `${text.slice(0, 120)}…`));
  details.addEventListener("toggle", () => { if (details.open && details.children.length === 1) details.append(whole()); });
  return details;
}

/** A part with a title, open or not. */
export function section(title, isOpen, ...children) {
  return h("details", { open: isOpen }, h("summary", null, title), children);
}

/** Resource and scope of a record. */
export function origin(record, view) {
  const { resource, scope } = record;
  return [
    section(`Resource (${Object.keys(resource.attributes).length})`, false, attributes(resource.attributes, "resource", view),
      resource.schema_url && h("p", { class: "none" }, `schema ${resource.schema_url}`)),
    section(`Scope: ${scope.name || "none"} ${scope.version}`, false, attributes(scope.attributes, "scope", view)),
  ];
}

/** The record as the API shows it; made when somebody looks. */
export function raw(record, what) {
  const text = () => JSON.stringify(record, null, 2);
  const body = h("div");
  const details = h("details", { class: "raw" }, h("summary", null, `${what} as JSON`), body);
  details.addEventListener("toggle", () => {
    if (details.open) put(body, button("Copy", () => copy(text(), what)), h("pre", null, text()));
  });
  return details;
}
