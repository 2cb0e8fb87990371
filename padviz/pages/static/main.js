// The page: its parts, and what redraws when something changes.

import { Book } from "./maps.js";
import { Panel } from "./panel.js";
import { listen, set, start, state } from "./state.js";

const PARTS = ["maps", "layers", "audit", "kernel"];

function begin() {
  const book = new Book(JSON.parse(document.getElementById("payload").textContent));
  const base = book.base, usual = Math.max(0, book.paddings.findIndex((_, at) => !book.facts(base, at).reason));
  const other = Math.max(usual, book.paddings.findIndex((name, at) => at > usual && !book.facts(base, at).reason));
  start({ part: "maps", asize: base, apadding: usual, bsize: base, bpadding: other, two: 1, show: "share", log: 0, own: 0, at: [0.1, 0.1], zoom: [1, 0.5, 0.5] });
  checked(book);
  Object.defineProperty(state, "options", { get: () => ({ show: state.show, log: state.log, own: state.own }) });
  const panels = ["a", "b"].map((key) => new Panel(document.getElementById(`panel-${key}`), key, book, () => shown()));
  const shown = () => (state.two ? panels : panels.slice(0, 1));
  controls();
  tabs();
  let frame = 0, pending = new Set();
  const update = async () => {
    frame = 0;
    const changed = pending;
    pending = new Set();
    const has = (...keys) => keys.some((key) => changed.has(key));
    if (has("part", "two", "show", "log", "own", "all")) look();
    const choosing = panels.filter((panel) => has(`${panel.key}size`, `${panel.key}padding`, "all"));
    if (choosing.length) await Promise.all(choosing.map((panel) => panel.choose()));
    if (choosing.length || has("two", "show", "log", "own", "zoom", "part")) for (const panel of shown()) panel.draw();
    else if (has("at")) for (const panel of shown()) panel.point();
    announce(shown());
    document.documentElement.dataset.ready = "yes";
  };
  listen((changed) => {
    for (const key of changed) pending.add(key);
    frame ||= requestAnimationFrame(update);
  });
  pending.add("all");
  update();
}

// Whatever an address says, it names what is there.
function checked(book) {
  const within = (key, n) => (state[key] = Number.isInteger(state[key]) && state[key] >= 0 && state[key] < n ? state[key] : 0);
  for (const key of ["asize", "bsize"]) within(key, book.sizes.length);
  for (const key of ["apadding", "bpadding"]) within(key, book.paddings.length);
  if (!PARTS.includes(state.part)) state.part = "maps";
  if (!["share", "counts"].includes(state.show)) state.show = "share";
}

function look() {
  for (const part of PARTS) {
    const panel = document.getElementById(`part-${part}`), tab = document.getElementById(`tab-${part}`);
    if (!panel) continue;
    panel.hidden = part !== state.part;
    tab.setAttribute("aria-selected", part === state.part);
    tab.tabIndex = part === state.part ? 0 : -1;
  }
  document.getElementById("panel-b").hidden = !state.two;
  document.getElementById("panels").classList.toggle("two", Boolean(state.two));
  for (const input of document.querySelectorAll("[data-state]")) {
    const key = input.dataset.state;
    if (input.type === "checkbox") input.checked = Boolean(state[key]);
    else input.checked = String(state[key]) === input.value;
  }
}

function controls() {
  for (const input of document.querySelectorAll("[data-state]"))
    input.addEventListener("change", () => {
      const value = input.type === "checkbox" ? Number(input.checked) : input.value;
      set({ [input.dataset.state]: typeof state[input.dataset.state] === "number" ? Number(value) : value });
    });
}

function tabs() {
  const all = PARTS.map((part) => document.getElementById(`tab-${part}`)).filter(Boolean);
  all.forEach((tab, at) => {
    tab.addEventListener("click", () => set({ part: tab.id.slice(4) }));
    tab.addEventListener("keydown", (event) => {
      const next = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key];
      if (next === undefined) return;
      const tab = all[(next + all.length) % all.length];
      set({ part: tab.id.slice(4) });
      tab.focus();
      event.preventDefault();
    });
  });
}

// Says the read-outs aloud, once they rest.
function announce(panels) {
  clearTimeout(announce.timer);
  announce.timer = setTimeout(() => {
    const text = panels.filter((panel) => panel.said && panel.map).map((panel, i, all) => (all.length > 1 ? `${["left", "right"][i]}: ` : "") + panel.said).join("; ");
    const live = document.getElementById("live");
    if (state.part === "maps" && live.textContent !== text) live.textContent = text;
  }, 150);
}

begin();
