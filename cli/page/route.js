// The address behind `#`: the view, and what was asked, so that it can be shared. `#/traces?service=cart&status=error`

/** The path's parts and the parameters, of which there may be several of one name. */
export function read() {
  const [path, ...query] = location.hash.slice(1).split("?");
  const parts = path.split("/").filter(Boolean).map((part) => {
    try { return decodeURIComponent(part); } catch { return part; }
  });
  return { parts, params: new URLSearchParams(query.join("?")) };
}

/** An address; parameters as an object or as pairs. What is empty is left out. */
export function to(parts, params = {}) {
  const pairs = params instanceof URLSearchParams || Array.isArray(params) ? [...params] : Object.entries(params);
  const some = pairs.filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const query = new URLSearchParams(some).toString();
  return `#/${[].concat(parts).map(encodeURIComponent).join("/")}${query ? `?${query}` : ""}`;
}

/** Goes there. */
export function go(address) {
  if (address !== location.hash) location.hash = address;
}
