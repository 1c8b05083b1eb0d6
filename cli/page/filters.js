// The form over a list: its fields are the parameters of the address, which are those of the API.

import { ask } from "./api.js";
import { button, h, put } from "./dom.js";
import { go, to } from "./route.js";
import { plain } from "./text.js";

let lists = 0;

/** What a field shows of the parameters that it stands for: `!` before what is not wanted; patterns as they are. */
function shown(params, name) {
  for (const [sign, before] of [["", ""], ["!", "!"], ["~", ""], ["!~", "!"]]) {
    const value = params.get(name + sign);
    if (value !== null) return before + value;
  }
  return "";
}

/** The parameter that a field's text means. */
function meant(field, text) {
  if (!field.signs) return [field.name, text];
  const isNot = text.startsWith("!");
  const value = isNot ? text.slice(1) : text;
  const isPattern = /[*?]/.test(value);
  return [field.name + (isNot ? "!" : "") + (isPattern ? "~" : ""), value];
}

const isOf = (field, name) => name === field.name || (field.signs && name.replace(/[!~]+$/, "") === field.name);

/**
 * A form with such fields: `name`, `label`, and `options` for a choice, or `placeholder`, `signs` for what takes `!` and
 * patterns, `keys` for suggestions by an index such as `spans/service`, `search` for where the key `/` leads, `many` for
 * what may be given several times. Changes lead to another address of the view.
 */
export function filters(view, fields, actions = []) {
  const chips = h("div", { class: "chips", role: "group", "aria-label": "Conditions" });
  const inputs = new Map();
  let params = new URLSearchParams();

  const change = (field, text) => {
    if (field.many ? text === "" : text === shown(params, field.name)) return;
    const kept = [...params].filter(([name]) => name !== "after" && (field.many || !isOf(field, name)));
    if (text !== "") kept.push(meant(field, text));
    go(to(view, kept));
  };
  const without = (gone) => go(to(view, [...params].filter((_, at) => at !== gone)));

  const control = (field) => {
    const input = field.options
      ? h("select", { name: field.name }, field.options.map(([value, label]) => h("option", { value }, label)))
      : h("input", {
        name: field.name, type: field.search ? "search" : "text", placeholder: field.placeholder, autocomplete: "off",
        spellcheck: "false", size: field.size ?? 14, "data-search": field.search, title: field.title,
      });
    input.addEventListener("change", () => {
      change(field, input.value.trim());
      if (field.many) input.value = "";
    });
    if (field.keys) suggest(input, field.keys);
    inputs.set(field, input);
    return h("label", null, h("span", null, field.label), input);
  };

  const form = h("form", { class: "filters", role: "search", on: {
    submit: (event) => {
      event.preventDefault();
      if (document.activeElement instanceof HTMLInputElement) document.activeElement.dispatchEvent(new Event("change"));
    },
  } }, fields.map(control), actions, h("button", { class: "aside" }, "Ask"));

  const update = (now) => {
    params = now;
    for (const [field, input] of inputs) if (!field.many) input.value = shown(params, field.name);
    const all = [...params].map(([name, value], at) => ({ name, value, at })).filter(({ name }) => !["after", "live", "show"].includes(name));
    put(chips, all.filter(({ name }) => !fields.some((field) => field.options && field.name === name)).map(({ name, value, at }) =>
      h("span", { class: "chip" }, `${name}=${value}`, button("×", () => without(at), { "aria-label": `Without ${name}=${value}` }))),
      all.length > 1 && button("without all", () => go(to(view)), { class: "link" }));
  };
  return { element: h("div", null, form, chips), update };
}

/** Suggests the keys of an index, asked for when somebody comes to the field. */
function suggest(input, keys) {
  const id = `list-${(lists += 1)}`;
  const list = h("datalist", { id });
  input.setAttribute("list", id);
  input.addEventListener("focus", async () => {
    const { answer } = await ask(`api/keys/${keys}`).catch(() => ({ answer: { keys: [] } }));
    put(list, answer.keys.slice(0, 500).map(({ key, count }) => h("option", { value: key, label: plain(`${key} (${count})`) })));
  });
  input.after(list);
  queueMicrotask(() => input.isConnected && input.after(list));
}

/** How far back is asked. */
export const SINCE = {
  name: "since", label: "Since", options: [["", "all that is held"], ["1m", "1 min"], ["5m", "5 min"], ["15m", "15 min"], ["1h", "1 h"], ["1d", "1 day"]],
};

export const ATTRIBUTE = {
  name: "attribute", label: "Attribute", many: true, size: 24, placeholder: "http.route~/cart*",
  title: "[level:]name, !name, name=text, name!=text, name~pattern, name>=500; Enter adds a condition",
};

/** A condition that an attribute has this value; that it has any, if the value is a list or a map. */
export function attributeIs(level, name, value) {
  const quoted = `${level}:"${name.replace(/["\\]/g, "\\$&")}"`;
  return value !== null && typeof value === "object" ? quoted : `${quoted}.eq.${value}`;
}
