// The audit: all remedies with how each is made, and the ledger as a table that sorts.

import { atSize, sizes } from "./layers.js";
import { COLUMNS, cells, marked } from "./ledger.js";
import { percent } from "./numbers.js";
import { make } from "./paint.js";
import { set, state } from "./state.js";
import { needs } from "./verdict.js";

const RARE = ["kind", "input", "pads", "remainder", "skipped", "overhang"]; // columns that a narrow screen does without

// The rims of an axis, and of both where they differ.
function sides(rim) {
  if (rim === null) return "";
  const texts = [rim.height, rim.width].map(([near, far]) => (near === far ? `${near}` : `${near}, ${far}`));
  return texts[0] === texts[1] ? texts[0] : texts.join(" / ");
}

// How a remedy is made, and its map.
function made(remedy, at, book) {
  const button = make("button", { hidden: !book.remedied(state.asize, at) }, "show its map");
  button.addEventListener("click", () => set({ part: "maps", two: 1, remedy: at }));
  return [
    make("p", {}, `How “${remedy.what}” is made: `, button),
    make("ul", {}, ...remedy.edit.map((line) => make("li", {}, make("code", {}, line)))),
  ];
}

export class AuditPart {
  constructor(book) {
    this.book = book;
    this.root = document.getElementById("part-audit");
    for (const name of ["size", "why", "remedies", "edit", "cannot", "ledger", "note"])
      this[name] = this.root.querySelector(`[data-part="${name}"]`);
    this.sorted = { column: -1, down: true };
    this.size.addEventListener("change", () => atSize(this.book, Number(this.size.value)));
  }

  get audit() {
    return this.book.audits[state.asize];
  }

  // The map of the network as it is, among all maps: what the strip of layers and the ledger are of.
  get declared() {
    return Math.max(0, this.book.paddings.indexOf("declared"));
  }

  draw() {
    const { audit } = this;
    sizes(this.book, this.size, state.asize);
    this.root.classList.toggle("cannot", Boolean(audit.reason));
    this.why.textContent = audit.reason ?? "";
    if (audit.reason) return;
    this.list();
    this.cannot.textContent = [...audit.cannot, ...audit.notes].join(" ");
    this.table();
  }

  list() {
    const { audit } = this,
      chosen = state.remedy;
    const row = (name, outcome, rest, at) => {
      const radio =
        at === null ? null : make("input", { type: "radio", name: "remedy", value: at, checked: at === chosen });
      radio?.addEventListener("change", () => set({ remedy: at }));
      const figures = [
        [outcome.uneven_convolutions],
        ...(outcome.share ? [[percent(outcome.share.starved)], [percent(outcome.share.overused)]] : [[""], [""]]),
        [sides(outcome.rim), "rare"],
        [rest[0], "rare"],
        [rest[1]],
      ];
      return make(
        "tr",
        at === chosen ? { class: "chosen" } : {},
        make("th", { scope: "row" }, radio ? make("label", {}, radio, name) : name),
        ...figures.map(([each, kind]) => make("td", { class: kind ?? null }, String(each))),
      );
    };
    const focused = this.remedies.contains(document.activeElement);
    const macs = audit.outcome.macs === null ? "" : `${(audit.outcome.macs / 1e9).toPrecision(3)} G`;
    const ratio = ({ macs_ratio: ratio }) => (ratio === null ? "" : `${ratio.toFixed(2)}x`);
    this.remedies.replaceChildren(
      row("today", audit.outcome, [macs, ""], null),
      ...audit.remedies.map((remedy, at) => row(remedy.what, remedy.outcome, [ratio(remedy), needs(remedy)], at)),
    );
    if (focused) this.remedies.querySelector("input:checked")?.focus();
    const remedy = audit.remedies[chosen];
    this.edit.replaceChildren(...(remedy ? made(remedy, chosen, this.book) : []));
  }

  // The ledger, as the network declares its padding.
  table() {
    const facts = this.book.facts(state.asize, this.declared),
      rows = facts.reason ? [] : Object.entries(this.book.records[facts.ledger]);
    const names = ["layer", "kind", ...COLUMNS, "verdict"];
    const both = (row, at) => {
      const [height, width] = [cells(row.height)[at], cells(row.width)[at]];
      return height === width ? String(height) : `${height} / ${width}`;
    };
    const lines = rows.map(([at, row]) => ({
      at: Number(at),
      row,
      texts: [row.layer, row.kind, ...COLUMNS.map((_, i) => both(row, i)), marked(row).text],
    }));
    const rare = (i) => (RARE.includes(names[i]) ? "rare" : null);
    const { column, down } = this.sorted,
      key = column < 0 ? ({ at }) => at : ({ texts }) => texts[column];
    const compare = new Intl.Collator("en", { numeric: true }).compare;
    lines.sort((a, b) => (column < 0 ? key(a) - key(b) : compare(key(a), key(b))) * (down ? 1 : -1));
    const head = names.map((name, i) => {
      const button = make("button", { class: "sort" }, name);
      button.addEventListener("click", () => {
        this.sorted = { column: column === i && !down ? -1 : i, down: column !== i };
        this.table();
        this.ledger.querySelectorAll("button.sort")[i].focus();
      });
      return make(
        "th",
        { scope: "col", class: rare(i), "aria-sort": column !== i ? "none" : down ? "ascending" : "descending" },
        button,
      );
    });
    const body = lines.map(({ at, row, texts }) => {
      const link = make("button", { class: "link" }, texts[0]);
      link.addEventListener("click", () =>
        set({ part: "layers", lsize: state.asize, lpadding: this.declared, layer: at }),
      );
      return make(
        "tr",
        { class: marked(row).kind },
        make("th", { scope: "row" }, link),
        ...texts.slice(1).map((each, i) => make("td", { class: rare(i + 1) }, each)),
      );
    });
    this.ledger.replaceChildren(make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...body));
    const convolutions = lines.filter(({ row }) => row.uneven && row.convolution).length,
      pools = lines.filter(({ row }) => row.uneven && !row.convolution).length,
      many = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
    this.note.textContent = `${convolutions + pools} of ${many(lines.length, "window")} (${many(convolutions, "convolution")}, ${many(pools, "pool")}) read more padding on one side. Click a layer to see it among the others.`;
  }
}
