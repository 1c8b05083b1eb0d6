// How an answer was found, in a line under it.

import { button, copy, h, put } from "./dom.js";
import { bytes, count, counted } from "./numbers.js";

/** Puts the line into an element: what was shown, by which index, at which cost, and whether it is whole. */
export function tell(element, { answer, took, bytes: size, url }, shown, extra = []) {
  const report = answer.report;
  const said = [shown];
  const warnings = [];
  if (report) {
    said.push(report.led_by ? `found by the index ${report.led_by}` : "found by looking through the store");
    said.push(`${counted(report.looked_at, "record")} looked at`);
    if (report.from_kept) said.push(`${counted(report.from_kept, "record")} from kept traces`);
    const history = report.history;
    if (history?.asked) {
      said.push(`${counted(history.from_files, "record")} from files: ${bytes(history.bytes_read)} read of ${counted(history.files_opened, "file")}`);
      warnings.push(...ofFiles(history));
    }
    if (history?.why_not) warnings.push(`maybe not all: ${history.why_not}`);
    if (report.cut) warnings.push("cut: records were evicted while this was asked");
    if (report.partial) warnings.push(`partial: some of what was asked for has been evicted${history?.asked ? ", and may not be in the files that were read" : ""}`);
    if (report.may_repeat) warnings.push("some may have been on an earlier page");
    if (report.missed) warnings.push(`${count(report.missed)} evicted since the page before`);
    if (!report.cut && !report.partial && !answer.next && !answer.more && !answer.left_out && !extra.length && !warnings.length) said.push("whole");
  }
  said.push(`${took < 10 ? took.toFixed(1) : Math.round(took)} ms, ${bytes(size)}`);
  put(element, said.join(" · "), warnings.map((what) => [" ", h("strong", { class: "warning" }, what)]),
    extra.map((what) => [" · ", what]),
    " · ", h("a", { href: url, target: "_blank", rel: "noopener" }, "as JSON"),
    " · ", button("copy as curl", () => copy(`curl -s '${new URL(url, location.href).href.replaceAll("'", "%27")}'`, "The command"), { class: "link" }));
}

/** Says what may be missing of what files have. */
function ofFiles(history) {
  const warnings = [];
  if (history.cut) warnings.push(`not all of the files was looked at: ${history.cut}`);
  if (history.failed) warnings.push(`${counted(history.failed, "file")} could not be read: ${history.last_error}`);
  else if (history.last_error) warnings.push(`maybe not all files: ${history.last_error}`);
  if (history.gone) warnings.push(`${counted(history.gone, "file")} went while this was asked; ask again`);
  if (!history.complete && !warnings.length) warnings.push("not all files were read");
  if (history.unreadable) warnings.push(`${counted(history.unreadable, "row")} of files could not be read`);
  if (history.waiting) warnings.push(`${counted(history.waiting, "record")} of any kind on the way to a file, not looked at`);
  if (history.lost) warnings.push(`${counted(history.lost, "record")} of any kind lost before they came to a file`);
  if (!history.each_once) warnings.push("some records may count twice, in memory and in files");
  return warnings;
}

/** Says why there is no answer. */
export function refuse(element, error) {
  put(element, h("strong", { class: "error", role: "alert" }, error.message || String(error)));
}
