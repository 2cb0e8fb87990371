// The page: its parts, and what redraws when something changes.

import { AuditPart } from "./audit.js";
import { Kernel } from "./kernel.js";
import { Layers, atSize, choices } from "./layers.js";
import { Book } from "./maps.js";
import { make } from "./paint.js";
import { Panel } from "./panel.js";
import { listen, set, start, state } from "./state.js";
import { tools } from "./tools.js";
import { Verdict } from "./verdict.js";

const PARTS = ["maps", "layers", "audit", "kernel"];
const MAPS = ["asize", "apadding", "bsize", "bpadding", "remedy"];

function begin() {
  const book = new Book(JSON.parse(document.getElementById("payload").textContent));
  start(defaults(book));
  checked(book);
  listen(() => checked(book));
  const layers = new Layers(book),
    audit = new AuditPart(book),
    verdict = new Verdict(book),
    kernel = new Kernel(book);
  const sides = { a: side(book, "a"), b: side(book, "b") };
  const shown = () => (state.two ? [left, right] : [left]);
  const [left, right] = Object.entries(sides).map(
    ([key, { facts, follow }]) =>
      new Panel(document.getElementById(`panel-${key}`), book, { source: facts, follow, others: shown }),
  );
  tools(book, () => {
    const panels = state.part === "maps" ? shown().filter((panel) => panel.map) : [];
    return [panels, panels.map((panel) => (panel === left ? sides.a : sides.b).title())];
  });
  controls();
  tabs();
  let frame = 0,
    pending = new Set(["all"]);
  const update = async () => {
    frame = 0;
    const changed = pending,
      has = (...keys) => keys.some((key) => changed.has(key) || changed.has("all"));
    pending = new Set();
    if (has("part", "two", "show", "log", "own", "odd")) look();
    if (has("part", "two", "asize", "remedy")) verdict.draw();
    for (const { pick } of Object.values(sides)) if (has(...MAPS)) pick();
    if (state.part === "layers" && has("part", "lsize", "lpadding", "at", "layer", "unit", "find", "odd"))
      await layers.draw();
    if (state.part === "audit" && has("part", "asize", "remedy")) audit.draw();
    if (state.part === "kernel" && has("part", "kernel", "stride", "dilation", "kscheme", "kpixel", "kwindow"))
      kernel.draw();
    if (state.part === "maps") await maps(shown(), has);
    document.documentElement.dataset.ready = "yes";
  };
  listen((changed) => {
    for (const key of changed) pending.add(key);
    frame ||= requestAnimationFrame(update);
  });
  update();
}

// What is shown where an address says nothing: the network as it is, and beside it with the remedy that the audit names.
function defaults(book) {
  const runs = book.paddings.map((_, at) => at).filter((at) => !book.facts(book.base, at).reason),
    [first = 0, second = first] = runs;
  const maps = {
    asize: book.base,
    apadding: first,
    bsize: book.base,
    bpadding: second,
    remedy: book.suggested(book.base),
    two: Number(innerWidth > 1100),
    show: "share",
    log: 0,
    own: 0,
    at: [0.5, 0.5],
    zoom: [1, 0.5, 0.5],
  };
  const rest = { lsize: book.base, lpadding: first, layer: -1, unit: [0, 0], find: "", odd: 0 };
  const one = { kernel: 3, stride: 1, dilation: 1, kscheme: "zero", kpixel: [0, 0], kwindow: 0 };
  return { part: "maps", ...maps, ...rest, ...one };
}

// Whatever an address says, it names what is there.
function checked(book) {
  const within = (key, n, usual = 0) =>
    (state[key] = Number.isInteger(state[key]) && state[key] >= 0 && state[key] < n ? state[key] : usual);
  for (const key of ["asize", "bsize", "lsize"]) within(key, book.sizes.length, book.base);
  for (const key of ["apadding", "bpadding", "lpadding"]) within(key, book.paddings.length);
  within("remedy", 1e3, -1);
  const among = (key, all) => (state[key] = all.includes(state[key]) ? state[key] : all[0]);
  for (const [key, all] of [
    ["part", PARTS],
    ["show", ["share", "counts"]],
    ["two", [1, 0]],
    ["log", [0, 1]],
    ["own", [0, 1]],
    ["odd", [0, 1]],
    ["kscheme", Object.keys(book.windows.axes)],
  ])
    among(key, all);
  for (const key of ["kernel", "stride", "dilation"]) {
    const offered = [...document.querySelector(`select[name="${key}"]`).options].map((each) => Number(each.value));
    if (!offered.includes(state[key])) state[key] = key === "kernel" ? 3 : 1;
  }
  if (!(state.zoom[0] >= 1)) state.zoom = [1, 0.5, 0.5];
  if (!Number.isInteger(state.kwindow)) state.kwindow = 0;
}

async function maps(panels, has) {
  const chosen = await Promise.all(
    panels.map(async (panel) => {
      const anew = panel.shown !== panel.source();
      if (anew) await panel.choose();
      return anew;
    }),
  );
  if (chosen.some(Boolean) || has("part", "two", "show", "log", "own", "zoom"))
    for (const panel of panels) panel.draw();
  else if (has("at", "hover")) for (const panel of panels) panel.point();
  announce(panels);
}

// One of the two maps: its pickers, the facts that they pick, what these are called, and the way to its layers.
function side(book, key) {
  const find = (name) => document.querySelector(`#panel-${key} [data-part="${name}"]`),
    [size, padding, remedy] = ["size", "padding", "remedy"].map(find);
  const cured = () => remedy && book.remedied(state.asize, state.remedy);
  const facts = () => cured() || book.facts(state[`${key}size`], state[`${key}padding`]);
  const change = (select, act) => select?.addEventListener("change", () => act(Number(select.value)));
  change(size, (at) => (remedy ? set({ bsize: at }) : atSize(book, at)));
  change(padding, (at) => set({ [`${key}padding`]: at }));
  change(remedy, (at) => set({ remedy: at }));
  const pick = () => {
    choices(book, size, padding, state[`${key}size`], state[`${key}padding`]);
    if (!remedy) return;
    const names = (book.audits[state.asize].remedies ?? []).map(({ what }) => what);
    remedy.replaceChildren(
      ...["another size or padding", ...names].map((name, i) => make("option", { value: i - 1 }, name)),
    );
    remedy.value = cured() ? state.remedy : -1;
    for (const select of [size, padding]) select.parentElement.hidden = Boolean(cured());
  };
  const follow = () => {
    const [lsize, lpadding] = book.placeOf(facts());
    set({ part: "layers", lsize, lpadding, hover: null });
  };
  const title = () =>
    cured()
      ? book.audits[state.asize].remedies[state.remedy].what
      : book.named(state[`${key}size`], state[`${key}padding`]);
  return { facts, pick, follow, title };
}

function look() {
  for (const part of PARTS) {
    const tab = document.getElementById(`tab-${part}`),
      on = part === state.part;
    document.getElementById(`part-${part}`).hidden = !on;
    tab.setAttribute("aria-selected", on);
    tab.tabIndex = on ? 0 : -1;
  }
  document.getElementById("panel-b").hidden = !state.two;
  document.getElementById("panels").classList.toggle("two", Boolean(state.two));
  for (const input of document.querySelectorAll("[data-state]")) {
    const value = state[input.dataset.state];
    input.checked = input.type === "checkbox" ? Boolean(value) : String(value) === input.value;
  }
}

function controls() {
  for (const input of document.querySelectorAll("[data-state]"))
    input.addEventListener("change", () => {
      const key = input.dataset.state,
        value = input.type === "checkbox" ? input.checked : input.value;
      set({ [key]: typeof state[key] === "number" ? Number(value) : value });
    });
}

function tabs() {
  const all = PARTS.map((part) => document.getElementById(`tab-${part}`));
  all.forEach((tab, at) => {
    tab.addEventListener("click", () => set({ part: PARTS[at] }));
    tab.addEventListener("keydown", (event) => {
      const next = { ArrowRight: at + 1, ArrowLeft: at - 1 + all.length, Home: 0, End: all.length - 1 }[event.key];
      if (next === undefined) return;
      event.preventDefault();
      set({ part: PARTS[next % all.length] });
      all[next % all.length].focus();
    });
  });
}

// Says the read-outs aloud, once they rest.
function announce(panels) {
  clearTimeout(announce.timer);
  announce.timer = setTimeout(() => {
    const said = panels.filter((panel) => panel.map),
      text = said
        .map((panel) => (said.length > 1 ? `${panel.root.getAttribute("aria-label")}: ${panel.said}` : panel.said))
        .join("; ");
    const live = document.getElementById("live");
    if (live.textContent !== text) live.textContent = text;
  }, 150);
}

begin();
