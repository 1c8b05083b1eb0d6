// Text that senders wrote, made safe to look at.

/** What is invisible or turns text round: control characters, marks of direction, separators,
 * characters without width, halves of characters. */
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

/** The text with such characters escaped, as in `\u{202e}`. Line breaks and tabs stay. */
export function plain(text) {
  return String(text).replace(UNSEEN, (sign) => `\\u{${sign.codePointAt(0).toString(16)}}`);
}

/** In one line and not too long. */
export function short(text, most = 200) {
  const line = String(text).replace(/\s*[\r\n]+\s*/g, " ⏎ ");
  return line.length > most ? `${line.slice(0, most)}…` : line;
}

/** A value of an attribute or a body, as text: what is no text is JSON. */
export function display(value) {
  if (typeof value === "string") return value;
  if (value === null || value === undefined) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

const SEVERITIES = ["trace", "debug", "info", "warn", "error", "fatal"];

/** The level of a severity's number, from 1 to 24. */
export function level(severity) {
  return severity >= 1 && severity <= 24 ? SEVERITIES[Math.floor((severity - 1) / 4)] : "unset";
}

/** A number of degrees that is always the same for a name: the hue of its colour. */
export function hue(name) {
  let hash = 2166136261;
  for (let at = 0; at < name.length; at++) hash = Math.imul(hash ^ name.charCodeAt(at), 16777619);
  hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  // None is close to the red of errors.
  return 25 + (((hash ^ (hash >>> 16)) >>> 0) % 61) * 5;
}
