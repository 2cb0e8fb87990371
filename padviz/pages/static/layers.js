// Layer by layer: what a pixel reaches, and of a chosen layer its coverage, ledger, taps, and the field of a unit.

import { Graph, runs } from "./graph.js";
import { percent, short, whole } from "./numbers.js";
import { bar, coloured, make, table } from "./paint.js";
import { set, state } from "./state.js";

const SMALL = 72; // screen pixels of a miniature
const LARGE = 320;

export class Layers {
  constructor(book) {
    this.book = book;
    this.root = document.getElementById("part-layers");
    for (const name of ["size", "padding", "row", "col", "strip", "reach", "name", "coverage", "covered", "unit", "field", "about", "image", "why", "taps", "ledger", "covbar"]) this[name] = this.root.querySelector(`[data-part="${name}"]`);
    this.colours = table(book.colours.counts);
    this.graphs = new Map();
    this.listen();
  }

  get facts() {
    return this.book.facts(state.lsize, state.lpadding);
  }

  get graph() {
    const { facts } = this;
    if (!this.graphs.has(facts)) this.graphs.set(facts, new Graph(facts, this.book));
    return this.graphs.get(facts);
  }

  get pixel() {
    const [height, width] = this.graph.shapes[0], [down, across] = state.at;
    return [place(down, height), place(across, width)];
  }

  get chosen() {
    const { shown, targets } = this.graph;
    return shown.includes(state.layer) && state.layer > 0 ? state.layer : targets[0];
  }

  get unitAt() {
    const [height, width] = this.graph.shapes[this.chosen], [down, across] = state.unit;
    return [place(down, height), place(across, width)];
  }

  async draw() {
    const { facts } = this;
    choices(this.book, this.size, this.padding, state.lsize, state.lpadding);
    this.root.classList.toggle("cannot", Boolean(facts.reason));
    this.why.textContent = facts.reason ?? "";
    if (facts.reason) return;
    this.map = await this.book.map(facts).ready();
    if (facts !== this.facts) return;
    const [height, width] = this.graph.shapes[0], [row, col] = this.pixel;
    for (const [input, n, at] of [[this.row, height, row], [this.col, width, col]]) {
      input.max = n - 1;
      if (document.activeElement !== input || Number(input.value) !== at) input.value = at;
    }
    this.follow();
    this.detail();
  }

  // The strip of miniatures: which units of each layer the pixel reaches.
  follow() {
    const { graph } = this, [row, col] = this.pixel, chosen = this.chosen;
    const key = [state.lsize, state.lpadding, row, col].join();
    if (this.followed !== key) {
      this.followed = key;
      this.values = graph.reached(row, col);
      if (this.stripOf !== graph) this.fill();
      for (const [i, canvas] of this.canvases) {
        mini(canvas, this.values[i], graph.shapes[i], this.colours);
        canvas.parentElement.querySelector(".reached").textContent = i ? reached(this.values[i]) : `${row}, ${col}`;
      }
    }
    for (const [i, canvas] of this.canvases) {
      const option = canvas.parentElement, on = i === chosen;
      option.setAttribute("aria-selected", on);
      option.tabIndex = on ? 0 : -1;
      const { offsetTop: top, offsetHeight: tall } = option, { scrollTop, clientHeight } = this.strip;
      if (on && (top < scrollTop || top + tall > scrollTop + clientHeight)) this.strip.scrollTop = top - 6;
    }
    this.reach.textContent = `Pixel ${row}, ${col} has ${whole(this.map.at(row, col))} paths to the target. They lead through the units that are lit: the brighter, the more.`;
  }

  fill() {
    const { graph } = this;
    this.stripOf = graph;
    this.canvases = new Map();
    this.strip.replaceChildren(...graph.shown.map((i) => {
      const layer = graph.layers[i], [height, width] = graph.shapes[i], marks = marked(graph.ledger[i]);
      const side = SMALL / Math.max(height, width), canvas = make("canvas", { "aria-hidden": true, style: `width: ${Math.max(2, side * width)}px; height: ${Math.max(2, side * height)}px` });
      this.canvases.set(i, canvas);
      const option = make("div", { role: "option", class: `layer ${marks.kind}`, tabindex: -1, "data-layer": i, title: layer.name },
        canvas, make("span", { class: "name" }, i ? layer.name : "image"), make("span", { class: "soft" }, i ? layer.kind : "input"), make("span", { class: "soft" }, `${height} × ${width}`),
        make("span", { class: "soft reached" }), marks.text ? make("span", { class: "mark" }, marks.text) : null);
      option.addEventListener("click", () => i && set({ layer: i }));
      return option;
    }));
  }

  // All about the chosen layer.
  detail() {
    const { graph, chosen } = this, layer = graph.layers[chosen], [height, width] = graph.shapes[chosen], [row, col] = this.unitAt;
    this.name.textContent = `${layer.name}, ${layer.kind}, ${height} × ${width}`;
    const covered = attempted(() => graph.coverage(chosen)), seen = attempted(() => ({ found: graph.seen(chosen, row, col) }));
    for (const [canvas, found] of [[this.coverage, covered], [this.covbar, covered], [this.image, seen]]) canvas.hidden = found.message !== undefined;
    this.covered.textContent = this.field.textContent = covered.message ?? seen.message ?? "";
    if (covered.message === undefined) {
      grid(this.coverage, covered, [height, width], this.colours, largest(covered, 1));
      box(this.coverage, [height, width], [[row, row]], [[col, col]]);
      this.covered.textContent = `${percent(covered[row * width + col])} of the paths of unit ${row}, ${col} start at real pixels.`;
      bar(this.covbar, { ticks: [[0, "0"], [0.5, "0.5"], [1, "1"]], unit: "coverage" }, this.book.colours.counts);
      this.coverage.setAttribute("aria-label", `coverage of ${layer.name}: arrow keys choose a unit; unit ${row}, ${col}`);
    }
    if (seen.message === undefined) this.seeing(seen.found);
    this.about.replaceChildren(...this.lines(chosen));
    ledger(this.ledger, graph.ledger[chosen]);
    this.taps.parentElement.hidden = !graph.exposure[chosen];
    if (graph.exposure[chosen]) taps(this.taps, graph.exposure[chosen], this.book.colours.counts);
  }

  // The receptive field of the unit, on the image.
  seeing(seen) {
    const shape = this.graph.shapes[0], [row, col] = this.unitAt, pixel = this.pixel;
    mini(this.image, seen, shape, this.colours, LARGE);
    box(this.image, shape, [[pixel[0], pixel[0]]], [[pixel[1], pixel[1]]], "#fff");
    const spans = (numbers) => runs(numbers).map(([first, last]) => (first === last ? `${first}` : `${first} to ${last}`)).join(" and ");
    this.field.textContent = seen ? `Unit ${row}, ${col} sees rows ${spans(seen.rows)} and columns ${spans(seen.cols)} of the image: brighter pixels have more paths to it.${this.beyond(row, col)}` : `Unit ${row}, ${col} sees no pixel.`;
  }

  // The rows and columns of the receptive field, where it reaches past the border.
  beyond(row, col) {
    const field = this.graph.fields[this.chosen], spans = [];
    for (const [axis, at, n] of [["height", row, 0], ["width", col, 1]]) {
      const { size, stride, padding } = field?.[axis] ?? {}, first = Number(stride) * at - padding;
      if (padding === null || padding === undefined || !Number.isInteger(first)) return "";
      spans.push([first, first + size - 1, this.graph.shapes[0][n]]);
    }
    if (spans.every(([first, last, n]) => first >= 0 && last < n)) return "";
    const [rows, cols] = spans.map(([first, last]) => `${signed(first)} to ${signed(last)}`);
    return ` Its receptive field reaches past the border: rows ${rows}, columns ${cols}.`;
  }

  lines(chosen) {
    const field = this.graph.fields[chosen], layer = this.graph.layers[chosen], found = [];
    if (field) {
      const say = (axis) => (axis.whole ? "the whole image" : `${axis.size} px`);
      const both = (key) => (field.height[key] === field.width[key] ? `${field.height[key] ?? "none"}` : `${field.height[key] ?? "none"} × ${field.width[key] ?? "none"}`);
      const size = say(field.height) === say(field.width) ? say(field.height) : `${say(field.height)} × ${say(field.width)}`;
      found.push(["receptive field", size], ["effective stride", both("stride")], ["effective padding", both("padding")]);
      if (field.parts_at) found.push(["branches part at", field.parts_at]);
    }
    if (layer.whole) found.push(["depends on all", layer.whole]);
    const reads = layer.inputs.map((j) => (j ? this.graph.layers[j].name : "image")).join(", ");
    return [["reads", reads], ...found].flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]);
  }

  listen() {
    this.size.addEventListener("change", () => set({ lsize: Number(this.size.value) }));
    this.padding.addEventListener("change", () => set({ lpadding: Number(this.padding.value) }));
    for (const input of [this.row, this.col])
      input.addEventListener("input", () => {
        const [height, width] = this.graph.shapes[0];
        if (input.value !== "" && input.checkValidity()) set({ at: [middle(Number(this.row.value), height), middle(Number(this.col.value), width)] });
      });
    this.strip.addEventListener("keydown", (event) => {
      const options = [...this.strip.children].slice(1), at = options.findIndex((each) => Number(each.dataset.layer) === this.chosen);
      const next = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: options.length - 1 }[event.key];
      if (next === undefined) return;
      event.preventDefault();
      const option = options[Math.min(Math.max(next, 0), options.length - 1)];
      set({ layer: Number(option.dataset.layer) });
      option.tabIndex = 0;
      option.focus();
    });
    pointed(this.coverage, () => this.unitAt, () => this.graph.shapes[this.chosen], (at) => set({ unit: at }));
    pointed(this.image, () => this.pixel, () => this.graph.shapes[0], (at) => set({ at }));
  }
}

// What a function gives; or an error with a message, where a page should not hold as much.
function attempted(make) {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return { message: `This map has ${error.message}.` };
  }
}

const signed = (at) => String(at).replace("-", "−");
const place = (share, n) => Math.min(Math.max(Math.floor(share * n), 0), n - 1);
export const middle = (at, n) => Number(((Math.min(Math.max(at, 0), n - 1) + 0.5) / n).toFixed(9));
const reached = (value) => (value ? `${value.rows.length} × ${value.cols.length} units` : "not reached");

// Lets clicks and arrow keys choose a position of a map.
function pointed(canvas, at, shape, choose) {
  const put = (row, col) => choose([middle(row, shape()[0]), middle(col, shape()[1])]);
  canvas.addEventListener("click", (event) => {
    const area = canvas.getBoundingClientRect(), [height, width] = shape();
    put(Math.floor(((event.clientY - area.top) / area.height) * height), Math.floor(((event.clientX - area.left) / area.width) * width));
  });
  canvas.addEventListener("keydown", (event) => {
    const [row, col] = at(), [height, width] = shape(), far = event.shiftKey ? 10 : 1;
    const next = { ArrowUp: [row - far, col], ArrowDown: [row + far, col], ArrowLeft: [row, col - far], ArrowRight: [row, col + far], Home: [row, 0], End: [row, width - 1], PageUp: [0, col], PageDown: [height - 1, col] }[event.key];
    if (!next || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    put(...next);
  });
}

// The lists of sizes and paddings of a part.
export function choices(book, size, padding, at, scheme) {
  if (!size.children.length) book.sizes.forEach(([height, width], i) => size.append(make("option", { value: i }, `${height} × ${width}`)));
  padding.replaceChildren(...book.paddings.map((name, i) => {
    const { reason } = book.facts(at, i);
    return make("option", { value: i, title: reason ?? null }, reason ? `${name} (cannot run)` : name);
  }));
  size.value = at;
  padding.value = scheme;
}

// A picture as large as the screen needs, and how many of its pixels a row and a column have.
function sized(canvas, [height, width], most) {
  const scale = Math.min(1, most / Math.max(height, width)), tall = Math.max(1, Math.round(height * scale)), wide = Math.max(1, Math.round(width * scale));
  const times = Math.max(1, Math.floor(most / Math.max(tall, wide)));
  Object.assign(canvas, { height: tall * times, width: wide * times });
  return [canvas.height / height, canvas.width / width];
}

// Where paths go in a layer: units that are reached, over all of it.
function mini(canvas, value, shape, colours, most = SMALL) {
  const [down, across] = sized(canvas, shape, most), { height, width } = canvas, context = canvas.getContext("2d");
  const image = context.createImageData(width, height), pixels = new Uint32Array(image.data.buffer).fill(colours[0]);
  if (value) {
    const top = largest(value.values, 0), wide = value.cols.length, last = colours.length - 1, best = new Float64Array(pixels.length);
    value.rows.forEach((row, i) => value.cols.forEach((col, j) => {
      const share = value.values[i * wide + j] / top;
      if (!share) return;
      const [y0, y1] = ends(row, down), [x0, x1] = ends(col, across);
      for (let y = y0; y < y1; y++) for (let x = x0; x < x1; x++) best[y * width + x] = Math.max(best[y * width + x], share);
    }));
    best.forEach((share, k) => share && (pixels[k] = colours[Math.round((0.25 + 0.75 * Math.sqrt(share)) * last)]));
  }
  context.putImageData(image, 0, 0);
  if (value) for (const rows of runs(value.rows)) for (const cols of runs(value.cols)) outline(context, canvas, shape, rows, cols, "#fff");
}

const ends = (at, times) => [Math.floor(at * times), Math.max(Math.floor(at * times) + 1, Math.floor((at + 1) * times))];

function largest(values, least) {
  for (const value of values) if (value > least) least = value;
  return least;
}

// A map of values from 0 to `most`.
function grid(canvas, found, shape, colours, most) {
  const [down, across] = sized(canvas, shape, LARGE), { height, width } = canvas, context = canvas.getContext("2d");
  const image = context.createImageData(width, height), drawn = new Float64Array(height * width);
  for (let y = 0, k = 0; y < height; y++) for (let x = 0; x < width; x++, k++) drawn[k] = found[Math.floor(y / down) * shape[1] + Math.floor(x / across)];
  coloured(drawn, { position: (value) => value / most }, colours, new Uint32Array(image.data.buffer));
  context.putImageData(image, 0, 0);
}

function box(canvas, shape, rows, cols, colour = "#fff") {
  for (const down of rows) for (const across of cols) outline(canvas.getContext("2d"), canvas, shape, down, across, colour);
}

// A frame around some rows and columns, seen on any colour.
function outline(context, { height, width }, [tall, wide], [top, bottom], [left, right], colour) {
  const at = [(left / wide) * width, (top / tall) * height, ((right - left + 1) / wide) * width, ((bottom - top + 1) / tall) * height];
  const grow = Math.max(0, 3 - Math.min(at[2], at[3])) / 2;
  for (const [stroke, thick] of [["#000", 3], [colour, 1]]) {
    Object.assign(context, { strokeStyle: stroke, lineWidth: thick, globalAlpha: thick > 1 ? 0.5 : 1 });
    context.strokeRect(at[0] + 0.5 - grow, at[1] + 0.5 - grow, Math.max(at[2] - 1, 1) + 2 * grow, Math.max(at[3] - 1, 1) + 2 * grow);
  }
  context.globalAlpha = 1;
}

// What the ledger says of a layer, in a word.
export function marked(row) {
  const drops = row && (row.height.dropped || row.width.dropped);
  if (row?.uneven) return row.learned ? { kind: "uneven", text: "uneven" } : { kind: "rigid", text: "uneven, rigid" };
  return drops ? { kind: "drops", text: "drops rows" } : { kind: "", text: "" };
}

export const COLUMNS = ["input", "k/s/d", "declared", "used", "dropped", "skipped", "overhang"];
export const cells = (axis) => [axis.input, `${axis.kernel}/${axis.stride}/${axis.dilation}`, axis.declared.join("+"), axis.consumed.join("+"), axis.dropped, axis.skipped, axis.overhang];

function ledger(root, row) {
  if (!row) return root.replaceChildren(make("p", { class: "soft" }, "It neither pads nor strides: the padding ledger has no line of it."));
  const same = cells(row.height).join() === cells(row.width).join(), axes = same ? [["both axes", row.height]] : [["height", row.height], ["width", row.width]];
  const lines = COLUMNS.map((name, i) => make("tr", {}, make("th", { scope: "row" }, name), ...axes.map(([, axis]) => make("td", {}, String(cells(axis)[i])))));
  const head = make("tr", {}, make("td", {}), ...axes.map(([name]) => make("th", { scope: "col" }, name)));
  const { text } = marked(row);
  root.replaceChildren(
    make("table", {}, make("thead", {}, head), make("tbody", {}, ...lines)),
    make("p", { class: "soft" }, text ? `It is ${text.startsWith("uneven") ? text.replace(",", " and") : "even, but drops rows or columns"}${row.uneven && (row.height.dropped || row.width.dropped) ? ", and drops rows or columns" : ""}.` : "It is even, and drops nothing."),
  );
}

// How many units read a real pixel with each tap, with the colour of its share of all units.
function taps(root, found, colours) {
  const lean = [found.imbalance.height, found.imbalance.width], large = found.grid.length > 11;
  const cell = (reads) => {
    const at = Math.round((reads / found.units) * 255), light = at > 150;
    return make("td", { style: `background: #${colours[at]}; color: ${light ? "#000" : "#fff"}` }, large ? "" : reads.toLocaleString("en-GB"));
  };
  root.replaceChildren(
    make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "tap exposure" }, make("table", { class: "taps" }, make("tbody", {}, ...found.grid.map((row) => make("tr", {}, ...row.map(cell)))))),
    make("p", { class: "soft" }, `Units, of ${found.units.toLocaleString("en-GB")}, that read a real pixel with each tap; it leans by ${lean.map((each) => `${each >= 0 ? "+" : ""}${short(each)}`).join(" down, ")} across.`),
  );
}
