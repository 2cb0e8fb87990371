// What is shown, kept in the URL's fragment, so that a view can be sent.

const listeners = new Set();
export const state = {};
let written = "";

export function start(defaults) {
  Object.assign(state, defaults, read(defaults));
  written = location.hash.slice(1);
  addEventListener("hashchange", () => {
    if (location.hash.slice(1) === written) return;
    written = location.hash.slice(1);
    set(read(defaults));
  });
}

// Changes some of it, and tells all who listen what changed.
export function set(changes) {
  const changed = Object.keys(changes).filter((key) => String(state[key]) !== String(changes[key]));
  if (!changed.length) return;
  Object.assign(state, changes);
  for (const listener of listeners) listener(new Set(changed));
  clearTimeout(set.timer);
  set.timer = setTimeout(write, 120);
}

export const listen = (listener) => listeners.add(listener);

function read(defaults) {
  const found = {};
  for (const [key, text] of new URLSearchParams(location.hash.slice(1))) {
    if (!Object.hasOwn(defaults, key)) continue;
    if (Array.isArray(defaults[key])) {
      const numbers = text.split(",").map(Number);
      if (numbers.length === defaults[key].length && numbers.every(Number.isFinite)) found[key] = numbers;
    } else if (typeof defaults[key] !== "number") found[key] = text;
    else if (Number.isFinite(Number(text))) found[key] = Number(text);
  }
  return found;
}

function write() {
  if (location.hash.slice(1) !== written) return; // it was changed just now, and is read next
  written = new URLSearchParams(Object.entries(state).map(([key, value]) => [key, String(value)])).toString();
  try {
    history.replaceState(null, "", `#${written}`);
  } catch {
    // Inside of a notebook a page has no address of its own.
  }
}
