// The state of the program, as it changes: the first event has all of it, the others are merge patches (RFC 7396).

export function merge(target, patch) {
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete target[key];
    else if (typeof value === "object" && !Array.isArray(value)) {
      const old = Object.hasOwn(target, key) ? target[key] : undefined;
      const inner = typeof old === "object" && !Array.isArray(old) ? old : Object.create(null);
      target[key] = merge(inner, value);
    } else target[key] = value;
  }
  return target;
}

// Calls `show` with each state, and `tell` with `live`, `lost` or `ended`. A page that nobody sees costs the program
// nothing: it looks away.
export function watch(show, tell) {
  let source = null;
  let state = null;
  const close = () => {
    source?.close();
    source = null;
  };
  const open = () => {
    close();
    source = new EventSource("/api/v1/events");
    source.addEventListener("state", (event) => {
      state = merge(Object.create(null), JSON.parse(event.data));
      tell("live");
      show(state);
    });
    source.addEventListener("change", (event) => {
      if (state) show(merge(state, JSON.parse(event.data)));
    });
    source.addEventListener("end", () => {
      close();
      tell("ended");
      // It may be started again.
      setTimeout(() => document.hidden || source || open(), 5000);
    });
    source.addEventListener("error", () => {
      tell(source?.readyState === EventSource.CLOSED ? "refused" : "lost");
    });
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  if (!document.hidden) open();
}
