// What is shown, kept in the URL's fragment, so that a view can be sent, and that Back and Forward walk the views.

const listeners = new Set();
export const state = {};
let usual = {},
  written = "",
  step = false;

export function start(defaults) {
  usual = defaults;
  Object.assign(state, usual, read());
  written = location.hash.slice(1);
  addEventListener("hashchange", () => {
    if (location.hash.slice(1) === written) return;
    written = location.hash.slice(1);
    set({ ...usual, ...read() }, true);
  });
}

// Changes some of it, and tells all who listen what changed. What `stays` is no step that Back would undo, and what has
// no usual value, as where the pointer is, is not in the address.
export function set(changes, stays = false) {
  const changed = Object.keys(changes).filter((key) => String(state[key]) !== String(changes[key]));
  if (!changed.length) return;
  Object.assign(state, changes);
  for (const listener of listeners) listener(new Set(changed));
  if (!changed.some((key) => key in usual)) return;
  step ||= !stays;
  clearTimeout(set.timer);
  set.timer = setTimeout(write, 120);
}

// Whether a pixel is pinned, by a click, keys or the address, and not the one that a page opens at.
export const pinned = () => String(state.at) !== String(usual.at);

export const listen = (listener) => listeners.add(listener);

function read() {
  const found = {};
  for (const [key, text] of new URLSearchParams(location.hash.slice(1))) {
    if (!Object.hasOwn(usual, key)) continue;
    if (Array.isArray(usual[key])) {
      const numbers = text.split(",").map(Number);
      if (numbers.length === usual[key].length && numbers.every(Number.isFinite)) found[key] = numbers;
    } else if (typeof usual[key] !== "number") found[key] = text;
    else if (Number.isFinite(Number(text))) found[key] = Number(text);
  }
  return found;
}

// Puts what is shown into the address.
export function write() {
  if (location.hash.slice(1) !== written) return; // it was changed just now, and is read next
  written = new URLSearchParams(Object.keys(usual).map((key) => [key, String(state[key])])).toString();
  try {
    history[step ? "pushState" : "replaceState"](null, "", `#${written}`);
  } catch {
    // Inside of a notebook a page has no address of its own.
  }
  step = false;
}
