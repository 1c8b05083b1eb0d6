// Times, durations, sizes and counts, as people read them. Times are whole nanoseconds since 1970 as BigInt: they
// lie beyond what a number holds exactly.

export const now = () => BigInt(Date.now()) * 1_000_000n;

const two = (number) => String(number).padStart(2, "0");

/** Local time of day; with the date if it is another day than today. `digits` of the second's fraction. */
export function clock(nanos, digits = 3) {
  const time = BigInt(nanos);
  if (time === 0n) return "no time";
  const date = new Date(Number(time / 1_000_000n));
  if (Number.isNaN(date.getTime())) return String(time);
  const fraction = String(time % 1_000_000_000n).padStart(9, "0").slice(0, digits);
  const day = date.toDateString() === new Date().toDateString()
    ? "" : `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} `;
  const second = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return day + second + (digits ? `.${fraction}` : "");
}

/** RFC 3339 in UTC, with all digits. */
export function utc(nanos) {
  const time = BigInt(nanos);
  const date = new Date(Number(time / 1_000_000n));
  if (time === 0n || Number.isNaN(date.getTime())) return String(time);
  return `${date.toISOString().slice(0, 19)}.${String(time % 1_000_000_000n).padStart(9, "0")}Z`;
}

/** A duration in nanoseconds, with its unit: 532 ns, 1.53 µs, 12.3 ms, 1.54 s, 2 min 4 s. */
export function duration(nanos) {
  const all = Number(nanos);
  const size = Math.abs(all);
  const some = (number, unit) => `${number.toPrecision(3).replace(/\.?0+$/, (end) => (end.includes(".") ? "" : end))} ${unit}`;
  if (size < 1e3) return `${Math.round(all)} ns`;
  if (size < 999.5e3) return some(all / 1e3, "µs");
  if (size < 999.5e6) return some(all / 1e6, "ms");
  if (size < 60e9) return some(all / 1e9, "s");
  const seconds = Math.round(all / 1e9);
  if (size < 3600e9) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  const minutes = Math.floor(seconds / 60);
  if (size < 86400e9) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.floor(minutes / 1440)} d ${Math.floor((minutes % 1440) / 60)} h`;
}

/** How long ago a time was. */
export function ago(nanos) {
  const passed = now() - BigInt(nanos);
  return passed < 1_000_000_000n ? "0 s" : duration(passed / 1_000_000_000n * 1_000_000_000n);
}

/** With a comma for each thousand. */
export function count(number) {
  return Number(number).toLocaleString("en-US");
}

export function counted(number, one, more = `${one}s`) {
  return `${count(number)} ${Number(number) === 1 ? one : more}`;
}

/** Bytes in KiB, MiB or GiB. */
export function bytes(number) {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let size = Number(number), unit = 0;
  while (size >= 1024 && unit < 4) { size /= 1024; unit += 1; }
  return `${unit ? size.toFixed(1) : size} ${units[unit]}`;
}

export function percent(part, whole) {
  if (!whole || !part) return "0 %";
  const share = (100 * Number(part)) / Number(whole);
  return share < 0.1 ? "< 0.1 %" : `${share.toFixed(share < 10 ? 1 : 0)} %`;
}

/** A measured number, short: 0.0123, 4,321, 1.2e+9. */
export function measured(number) {
  if (typeof number !== "number") return String(number ?? "");
  if (!Number.isFinite(number)) return String(number);
  const size = Math.abs(number);
  if (Number.isInteger(number) && size < 1e9) return count(number);
  if (size >= 1e9 || (size > 0 && size < 1e-4)) return number.toExponential(2);
  return Number(number.toPrecision(4)).toLocaleString("en-US", { maximumFractionDigits: 8 });
}
