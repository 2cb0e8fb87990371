// The verdict at a size: in a few words and sentences, and the remedies that they name with their maps.

import { percent } from "./numbers.js";
import { make } from "./paint.js";
import { set, state } from "./state.js";

// What a remedy needs of a trained network, and what speaks against it.
export const needs = (remedy) => [remedy.needs, remedy.price].filter(Boolean).join("; ");

// A text whose numbers keep their units beside them.
const tight = (text = "") => text.replace(/(\d) (%|px|x)/g, "$1\u00a0$2");

export class Verdict {
  constructor(book) {
    this.book = book;
    this.finding = document.getElementById("finding");
    for (const name of ["border", "now", "training", "margin", "accuracy", "measure", "symmetry", "padding", "suggested", "all"])
      this[name] = document.querySelector(`#verdict [data-part="${name}"]`);
    this.all.addEventListener("click", () => set({ part: "audit" }));
  }

  draw() {
    const audit = this.book.audits[state.asize],
      remedies = audit.remedies ?? [];
    this.finding.textContent = `at ${this.book.sizes[state.asize].join(" x ")} px: ${audit.verdict ?? "no audit"}`;
    this.border.textContent = tight(audit.reason ?? audit.border);
    this.now.textContent = tight(audit.now);
    this.training.textContent = tight(audit.training);
    this.margin.textContent = tight(audit.margin);
    this.accuracy.textContent = audit.accuracy ?? "";
    this.measure.textContent = audit.measure ?? "";
    this.symmetry.textContent = tight(audit.symmetry);
    this.padding.textContent = tight(audit.padding);
    const focused = this.suggested.contains(document.activeElement) && document.activeElement.dataset.remedy;
    this.suggested.replaceChildren(
      ...(audit.suggested ?? []).map((at) => this.remedy(remedies[at], at, audit.outcome)),
    );
    if (focused) this.suggested.querySelector(`[data-remedy="${focused}"]`)?.focus();
    this.all.textContent = `all ${remedies.length} remedies, and how each is made`;
    this.all.hidden = !remedies.length;
  }

  remedy(remedy, at, today) {
    const shown = state.two && state.remedy === at && state.part === "maps";
    const button = make(
      "button",
      { "aria-pressed": Boolean(shown), "aria-label": `show ${remedy.what}`, "data-remedy": at, hidden: !this.book.remedied(state.asize, at) },
      shown ? "shown" : "show",
    );
    button.addEventListener("click", () => set({ part: "maps", two: 1, remedy: at }));
    return make(
      "li",
      {},
      button,
      make("strong", {}, remedy.what),
      " ",
      make("span", { class: "soft" }, needs(remedy)),
      make("span", { class: "change" }, changed(today, remedy.outcome)),
    );
  }
}

// What a remedy changes, in figures.
function changed(before, after) {
  const parts = [];
  const add = (word, key, say) => {
    const [old, now] = [before, after].map((each) => say(each[key] ?? each.share?.[key] ?? 0));
    if (old !== now) parts.push(`${word} ${old} → ${now}`.replaceAll(" ", "\u00a0"));
  };
  add("starved", "starved", percent);
  add("overused", "overused", percent);
  add("uneven", "uneven_convolutions", String);
  return parts.join(", ");
}
