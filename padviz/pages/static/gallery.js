// The gallery: filters and order, kept in the address, and a viewer that goes from item to item, two side by side.

import { listen, set, start, state } from "./state.js";

const find = (id) => document.getElementById(id);
const cards = [...document.querySelectorAll("article")];
const selects = [...document.querySelectorAll("select[data-key]")];
const search = find("search"),
  sort = find("sort"),
  form = document.querySelector("form"),
  viewer = find("viewer");
const EMPTY = { ...Object.fromEntries(selects.map((each) => [each.dataset.key, ""])), sort: "", name: "" };

function show() {
  for (const select of selects) select.value = state[select.dataset.key];
  if (search.value !== state.name) search.value = state.name;
  sort.value = state.sort;
  const words = state.name.trim().toLowerCase();
  for (const card of cards) {
    const fits = selects.every((each) => !each.value || card.dataset[each.dataset.key].split("|").includes(each.value));
    card.hidden = !fits || !card.dataset.name.toLowerCase().includes(words);
  }
  const key = sort.value,
    sorted = key ? [...cards].sort((a, b) => b.dataset[key] - a.dataset[key]) : cards;
  document.querySelector("main").append(...sorted);
  const shown = fitting().length;
  find("count").textContent =
    (shown === cards.length ? "" : `${shown} of `) + `${cards.length} item${cards.length === 1 ? "" : "s"}`;
  find("none").hidden = shown > 0 || !cards.length;
}

const fitting = () => [...document.querySelectorAll("article:not([hidden])")];
const pictured = () => fitting().filter((card) => card.querySelector("a.picture"));
const named = (name) => cards.find((card) => card.dataset.name === name && card.querySelector("a.picture"));

// The viewer: the item of the address, and beside it the one that is kept.
function view() {
  const card = named(state.item);
  if (!card) return viewer.open && viewer.close();
  const all = pictured(),
    at = all.indexOf(card),
    kept = named(state.kept);
  fill(find("seen"), card);
  find("kept").hidden = !kept;
  if (kept) fill(find("kept"), kept);
  find("keep").checked = Boolean(kept);
  find("place").textContent = `${at + 1} of ${all.length}`;
  if (!viewer.open) viewer.showModal();
}

function fill(figure, card) {
  const image = figure.querySelector("img"),
    link = card.querySelector("a.picture");
  if (image.src !== link.href) image.src = link.href;
  image.alt = figure.querySelector("figcaption").textContent = card.dataset.name;
}

function step(by) {
  const all = pictured(),
    at = all.indexOf(named(state.item));
  if (all.length) set({ item: all[(at + by + all.length) % all.length].dataset.name }, true);
}

start({ ...EMPTY, item: "", kept: "" });
listen((changed) => {
  if (Object.keys(EMPTY).some((key) => changed.has(key))) show();
  view();
});
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("input", () =>
  set({
    ...Object.fromEntries(selects.map((each) => [each.dataset.key, each.value])),
    sort: sort.value,
    name: search.value,
  }, true),
);
for (const button of document.querySelectorAll("[type=reset], [data-reset]"))
  button.addEventListener("click", () => set(EMPTY));
for (const card of cards)
  card.querySelector("a.picture")?.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return; // the picture itself, elsewhere
    event.preventDefault();
    set({ item: card.dataset.name });
  });
find("back").addEventListener("click", () => step(-1));
find("next").addEventListener("click", () => step(1));
find("close").addEventListener("click", () => viewer.close());
find("keep").addEventListener("change", () => set({ kept: find("keep").checked ? state.item : "" }));
viewer.addEventListener("close", () => set({ item: "", kept: "" }));
viewer.addEventListener("keydown", (event) => {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (by) step(by);
});
addEventListener("pageshow", show);
show();
view();
