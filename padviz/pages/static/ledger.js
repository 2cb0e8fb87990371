// What the ledger and the taps say of a layer.

import { short } from "./numbers.js";
import { make } from "./paint.js";

// What the ledger says of a layer, in a word.
export function marked(row) {
  const drops = row && (row.height.dropped || row.width.dropped);
  if (row?.uneven) return row.learned ? { kind: "uneven", text: "uneven" } : { kind: "rigid", text: "uneven, rigid" };
  return drops ? { kind: "drops", text: "drops rows" } : { kind: "", text: "" };
}

export const COLUMNS = ["input", "k/s/d", "declared", "used", "dropped", "skipped", "overhang"];
export const cells = (axis) => [
  axis.input,
  `${axis.kernel}/${axis.stride}/${axis.dilation}`,
  axis.declared.join("+"),
  axis.consumed.join("+"),
  axis.dropped,
  axis.skipped,
  axis.overhang,
];

// The line of the ledger, for both axes or for each.
export function lines(root, row) {
  if (!row)
    return root.replaceChildren(
      make("p", { class: "soft" }, "It neither pads nor strides: the padding ledger has no line of it."),
    );
  const same = cells(row.height).join() === cells(row.width).join(),
    axes = same
      ? [["both axes", row.height]]
      : [
          ["height", row.height],
          ["width", row.width],
        ];
  const rows = COLUMNS.map((name, i) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, name),
      ...axes.map(([, axis]) => make("td", {}, String(cells(axis)[i]))),
    ),
  );
  const head = make("tr", {}, make("td", {}), ...axes.map(([name]) => make("th", { scope: "col" }, name)));
  const { text } = marked(row);
  root.replaceChildren(
    make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)),
    make(
      "p",
      { class: "soft" },
      text
        ? `It is ${text.startsWith("uneven") ? text.replace(",", " and") : "even, but drops rows or columns"}${row.uneven && (row.height.dropped || row.width.dropped) ? ", and drops rows or columns" : ""}.`
        : "It is even, and drops nothing.",
    ),
  );
}

// How many units read a real pixel with each tap, with the colour of its share of all units.
export function exposure(root, found, colours) {
  const lean = [found.imbalance.height, found.imbalance.width],
    large = found.grid.length > 11;
  const cell = (reads) => {
    const at = Math.round((reads / found.units) * 255),
      light = at > 150;
    return make(
      "td",
      { style: `background: #${colours[at]}; color: ${light ? "#000" : "#fff"}` },
      large ? "" : reads.toLocaleString("en-GB"),
    );
  };
  root.replaceChildren(
    make(
      "div",
      { class: "scroll", tabindex: 0, role: "region", "aria-label": "tap exposure" },
      make("table", { class: "taps" }, make("tbody", {}, ...found.grid.map((row) => make("tr", {}, ...row.map(cell))))),
    ),
    make(
      "p",
      { class: "soft" },
      `Units, of ${found.units.toLocaleString("en-GB")}, that read a real pixel with each tap; it leans by ${lean.map((each) => `${each >= 0 ? "+" : ""}${short(each)}`).join(" down, ")} across.`,
    ),
  );
}
