// What the ledger and the taps say of a layer.

import { short } from "./numbers.js";
import { make } from "./paint.js";

// What the ledger says of a layer, in a word.
export function marked(row) {
  if (row?.uneven) return row.convolution ? { kind: "uneven", text: "uneven" } : { kind: "pool", text: "uneven pool" };
  return row && unread(row) ? { kind: "remainder", text: "stride remainder" } : { kind: "", text: "" };
}

const unread = ({ height, width }) => height.remainder > 0 || width.remainder > 0;

export const COLUMNS = ["k/s/d", "input", "pads", "used", "remainder", "skipped", "overhang"];
export const cells = (axis) => [
  `${axis.kernel}/${axis.stride}/${axis.dilation}`,
  axis.input,
  axis.pads.join("+"),
  axis.used.join("+"),
  axis.remainder,
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
  const around = ["height", "width"].filter((axis) => row[axis].wraps),
    wraps = around.length ? `; ${around.join(" and ")} ${around.length > 1 ? "wrap" : "wraps"}` : "";
  const head = make("tr", {}, make("td", {}), ...axes.map(([name]) => make("th", { scope: "col" }, name)));
  root.replaceChildren(
    make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)),
    make(
      "p",
      { class: "soft" },
      `It reads its padding ${row.uneven ? "unevenly" : "evenly"}${unread(row) ? ", and leaves rows or columns unread" : ""}${wraps}.`,
    ),
  );
}

// How many units read a real pixel with each tap, with the colour of its share of all units.
export function exposure(root, found, colours) {
  const imbalance = [found.imbalance.height, found.imbalance.width],
    large = found.grid.length > 11;
  const cell = (reads) => {
    const at = Math.round((reads / found.units) * (colours.length - 1)),
      light = at > 0.45 * colours.length;
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
      `Units, of ${found.units.toLocaleString("en-GB")}, that read a real pixel with each tap; imbalance ${imbalance.map((each) => `${each >= 0 ? "+" : ""}${short(each)}`).join(" down, ")} across.`,
    ),
  );
}
