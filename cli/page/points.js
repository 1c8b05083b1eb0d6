// What can be drawn of a series of metric points: values, rates, quantiles. Times as numbers, in nanoseconds after a first one.

/** What is drawn of a metric of this kind, the usual one first. */
export function modes(kind) {
  if (kind.type === "sum") return kind.monotonic ? ["rate", "value"] : ["value"];
  if (kind.type === "gauge") return ["value"];
  return kind.type === "summary" ? ["p50", "p90", "p99", "mean", "rate"] : ["p50", "p90", "p99", "mean", "rate", "heat"];
}

const number = (value) => Number(value ?? NaN);
const isPlain = (kind) => kind.type === "sum" || kind.type === "gauge";

/** The curve of a series: pairs of a time and a number, where there is one. */
export function curve(series, mode, first) {
  const kind = series;
  const isCumulative = kind.temporality === "cumulative";
  const made = [];
  let before = null;
  for (const point of series.points) {
    const time = BigInt(point.time_unix_nanos);
    const value = read(kind, point, mode, isCumulative ? before : null);
    if (Number.isFinite(value)) made.push([Number(time - first), value]);
    before = point;
  }
  return made;
}

function read(kind, point, mode, before) {
  if (mode === "value") return number(point.value);
  if (kind.type === "summary" && mode.startsWith("p")) {
    const share = Number(mode.slice(1)) / 100;
    return (point.quantiles ?? []).find(({ quantile }) => Math.abs(quantile - share) < 1e-9)?.value ?? NaN;
  }
  const isCumulative = kind.temporality === "cumulative" || kind.type === "summary";
  // A counter's first point says nothing of when it grew.
  if (isCumulative && mode === "rate" && !before) return NaN;
  const grown = grownBy(kind, point, before);
  if (mode === "rate") return (grown.count * 1e9) / grown.time;
  if (grown.count === 0) return NaN;
  if (mode === "mean") return grown.sum / grown.count;
  return quantile(grown.buckets, Number(mode.slice(1)) / 100);
}

/** What a series of histograms measured between its points: fields of a map of times and values. */
export function fields(series, first) {
  const kind = series;
  const made = [];
  let before = null;
  for (const point of series.points) {
    const isKnown = kind.temporality !== "cumulative" || before;
    const grown = isKnown && grownBy(kind, point, kind.temporality === "cumulative" ? before : null);
    const to = Number(BigInt(point.time_unix_nanos) - first);
    for (const { from: low, to: high, count } of grown ? grown.buckets : []) {
      if (count > 0) made.push({ from: to - Math.max(grown.time, 0), to, low, high, count });
    }
    before = point;
  }
  return made;
}

/** What came since the point before: all that it counts, if it began anew. */
function grownBy(kind, point, before) {
  const time = BigInt(point.time_unix_nanos), start = BigInt(point.start_unix_nanos);
  const amount = (one) => (isPlain(kind) ? number(one.value) : Number(one.count ?? 0));
  const sum = (one) => (isPlain(kind) ? 0 : Number(one.sum ?? NaN));
  const isOn = before && before.start_unix_nanos === point.start_unix_nanos && amount(point) >= amount(before);
  const since = isOn ? BigInt(before.time_unix_nanos) : before && BigInt(before.time_unix_nanos) > start ? BigInt(before.time_unix_nanos) : start;
  return {
    time: Number(time - since),
    count: amount(point) - (isOn ? amount(before) : 0),
    sum: sum(point) - (isOn ? sum(before) : 0),
    buckets: isPlain(kind) || kind.type === "summary" ? [] : less(buckets(point), isOn ? buckets(before) : []),
  };
}

/** A histogram's buckets: from, to, how many; in order. */
function buckets(point) {
  const value = point;
  if (value.explicit_bounds) {
    const bounds = value.explicit_bounds;
    return value.bucket_counts.map((count, at) => ({
      from: at ? bounds[at - 1] : Math.min(value.min ?? 0, bounds[0] ?? 0),
      to: at < bounds.length ? bounds[at] : Math.max(value.max ?? -Infinity, bounds.at(-1) ?? 0),
      count: Number(count),
    }));
  }
  const base = 2 ** (2 ** -value.scale);
  const side = ({ offset, bucket_counts: counts }) => counts.map((count, at) => ({ from: base ** (offset + at), to: base ** (offset + at + 1), count: Number(count) }));
  const negative = side(value.negative).reverse().map(({ from, to, count }) => ({ from: -to, to: -from, count }));
  const zero = value.zero_threshold ?? 0;
  return [...negative, { from: -zero, to: zero, count: Number(value.zero_count) }, ...side(value.positive)];
}

/** Less what was there before. Buckets of a coarser scale or of other bounds take what lies in them. */
function less(now, before) {
  return now.map((bucket) => {
    const was = before.filter(({ from, to }) => (from + to) / 2 >= bucket.from && (from + to) / 2 <= bucket.to).reduce((sum, { count }) => sum + count, 0);
    return { ...bucket, count: Math.max(bucket.count - was, 0) };
  });
}

/** As far into its bucket as its rank is. */
function quantile(buckets, share) {
  const all = buckets.reduce((sum, { count }) => sum + count, 0);
  let rank = share * all;
  for (const { from, to, count } of buckets) {
    if (count > 0 && rank <= count) return from + (to - from) * (rank / count);
    rank -= count;
  }
  return buckets.at(-1)?.to ?? NaN;
}
