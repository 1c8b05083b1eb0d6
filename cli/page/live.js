// What is asked again and again, while somebody looks.

/** The same act, but never for more than a tenth of the time, and one at a time: what is slow to answer is asked more rarely. */
export function paced(act) {
  let isBusy = false, next = 0;
  return async () => {
    if (isBusy || performance.now() < next) return;
    isBusy = true;
    const began = performance.now();
    try {
      await act();
    } finally {
      isBusy = false;
      next = performance.now() + 9 * (performance.now() - began);
    }
  };
}

/** Calls at once and then every so many milliseconds, not while the page is hidden; gives back what ends it. */
export function every(milliseconds, act) {
  let timer = null, isOver = false;
  const next = async () => {
    clearTimeout(timer);
    if (isOver) return;
    if (!document.hidden) {
      try { await act(); } catch (error) { if (error?.name !== "AbortError") console.info(String(error)); }
    }
    clearTimeout(timer);
    if (!isOver) timer = setTimeout(next, milliseconds);
  };
  const look = () => { if (!document.hidden) next(); };
  document.addEventListener("visibilitychange", look);
  next();
  return () => {
    isOver = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", look);
  };
}
