// Layer by layer: what a pixel reaches, and of a chosen layer its coverage, ledger, taps, and the field of a unit.

import { Graph, runs } from "./graph.js";
import { exposure, lines, marked } from "./ledger.js";
import { LARGE, SMALL, box, grid, largest, middle, mini, place, pointed } from "./miniatures.js";
import { percent, whole } from "./numbers.js";
import { bar, make, table } from "./paint.js";
import { set, state } from "./state.js";

export class Layers {
  constructor(book) {
    this.book = book;
    this.root = document.getElementById("part-layers");
    for (const name of [
      "size",
      "padding",
      "row",
      "col",
      "strip",
      "reach",
      "name",
      "coverage",
      "covered",
      "unit",
      "field",
      "about",
      "image",
      "why",
      "taps",
      "ledger",
      "covbar",
      "search",
      "found",
    ])
      this[name] = this.root.querySelector(`[data-part="${name}"]`);
    this.shares = book.colours.share.slice(0, 129); // from starved to fair: of what is 1 at most
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
    const [height, width] = this.graph.shapes[0],
      [down, across] = state.at;
    return [place(down, height), place(across, width)];
  }

  get chosen() {
    const { shown, targets } = this.graph;
    return shown.includes(state.layer) && state.layer > 0 ? state.layer : (shown[1] ?? targets[0]);
  }

  get unitAt() {
    const [height, width] = this.graph.shapes[this.chosen],
      [down, across] = state.unit;
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
    const [height, width] = this.graph.shapes[0],
      [row, col] = this.pixel;
    for (const [input, n, at] of [
      [this.row, height, row],
      [this.col, width, col],
    ]) {
      input.max = n - 1;
      if (document.activeElement !== input || Number(input.value) !== at) input.value = at;
    }
    this.follow();
    this.detail();
  }

  // The strip of miniatures: which units of each layer the pixel reaches.
  follow() {
    const { graph } = this,
      [row, col] = this.pixel,
      chosen = this.chosen;
    const key = [state.lsize, state.lpadding, row, col].join();
    if (this.followed !== key) {
      this.followed = key;
      this.values = graph.reached(row, col);
      if (this.stripOf !== graph) this.fill();
      for (const [i, canvas] of this.canvases) {
        mini(canvas, this.values[i], graph.shapes[i]);
        canvas.parentElement.querySelector(".reached").textContent = i ? reached(this.values[i]) : `${row}, ${col}`;
      }
    }
    for (const [i, canvas] of this.canvases) {
      const option = canvas.parentElement,
        on = i === chosen;
      option.setAttribute("aria-selected", on);
      option.tabIndex = on ? 0 : -1;
      const { offsetTop: top, offsetHeight: tall } = option,
        { scrollTop, clientHeight } = this.strip;
      if (on && (top < scrollTop || top + tall > scrollTop + clientHeight)) this.strip.scrollTop = top - 6;
    }
    this.sift();
    this.reach.textContent = `Pixel ${row}, ${col} has ${whole(this.map.at(row, col))} paths to the target. They lead through the coloured units: the stronger the colour, the more.`;
  }

  fill() {
    const { graph } = this;
    this.stripOf = graph;
    this.canvases = new Map();
    this.strip.replaceChildren(
      ...graph.shown.map((i) => {
        const layer = graph.layers[i],
          [height, width] = graph.shapes[i],
          marks = marked(graph.ledger[i]);
        const side = SMALL / Math.max(height, width),
          canvas = make("canvas", {
            "aria-hidden": true,
            style: `width: ${Math.max(2, side * width)}px; height: ${Math.max(2, side * height)}px`,
          });
        this.canvases.set(i, canvas);
        const option = make(
          "div",
          { role: "option", class: `layer ${marks.kind}`, tabindex: -1, "data-layer": i, title: layer.name },
          canvas,
          make("span", { class: "name" }, ...(i ? parts(layer.name) : ["image"])),
          make("span", { class: "soft" }, i ? layer.kind : "input"),
          make("span", { class: "soft" }, `${height} x ${width}`),
          make("span", { class: "soft reached" }),
          marks.text ? make("span", { class: "mark" }, marks.text) : null,
        );
        option.addEventListener("click", () => i && set({ layer: i }));
        return option;
      }),
    );
  }

  // Hides the layers that are not asked for.
  sift() {
    const words = state.find.trim().toLowerCase(),
      { layers, ledger } = this.graph;
    if (this.search.value !== state.find) this.search.value = state.find;
    for (const [i, { parentElement: option }] of this.canvases) {
      const fits = (i ? layers[i].name : "image").toLowerCase().includes(words);
      option.hidden = !fits || (state.odd && !ledger[i]?.uneven);
    }
    const all = this.strip.children.length,
      left = this.options.length;
    this.found.textContent = left < all ? `${left} of ${all} layers` : `${all} layers`;
  }

  // The layers that can be chosen, in order.
  get options() {
    return [...this.strip.children].filter((each) => !each.hidden);
  }

  // All about the chosen layer.
  detail() {
    const { graph, chosen } = this,
      layer = graph.layers[chosen],
      [height, width] = graph.shapes[chosen],
      [row, col] = this.unitAt;
    this.name.textContent = `${layer.name}, ${layer.kind}, ${height} x ${width}`;
    const covered = attempted(() => graph.coverage(chosen)),
      seen = attempted(() => ({ found: graph.seen(chosen, row, col) }));
    for (const [canvas, found] of [
      [this.coverage, covered],
      [this.covbar, covered],
      [this.image, seen],
    ])
      canvas.hidden = found.message !== undefined;
    this.covered.textContent = this.field.textContent = covered.message ?? seen.message ?? "";
    if (covered.message === undefined) {
      grid(this.coverage, covered, [height, width], table(this.shares), largest(covered, 1));
      box(this.coverage, [height, width], [[row, row]], [[col, col]]);
      this.covered.textContent = `${percent(covered[row * width + col])} of the paths of unit ${row}, ${col} start at real pixels.`;
      bar(
        this.covbar,
        {
          ticks: [
            [0, "0"],
            [0.5, "0.5"],
            [1, "1"],
          ],
          unit: "coverage",
        },
        this.shares,
      );
      this.coverage.setAttribute(
        "aria-label",
        `coverage of ${layer.name}: arrow keys choose a unit; unit ${row}, ${col}`,
      );
    }
    if (seen.message === undefined) this.seeing(seen.found);
    this.about.replaceChildren(...this.told(chosen));
    lines(this.ledger, graph.ledger[chosen]);
    this.taps.parentElement.hidden = !graph.exposure[chosen];
    if (graph.exposure[chosen]) exposure(this.taps, graph.exposure[chosen], this.shares);
  }

  // The receptive field of the unit, on the image.
  seeing(seen) {
    const shape = this.graph.shapes[0],
      [row, col] = this.unitAt,
      pixel = this.pixel;
    mini(this.image, seen, shape, LARGE);
    box(this.image, shape, [[pixel[0], pixel[0]]], [[pixel[1], pixel[1]]], "#fff");
    const spans = (numbers) =>
      runs(numbers)
        .map(([first, last]) => (first === last ? `${first}` : `${first} to ${last}`))
        .join(" and ");
    this.field.textContent = seen
      ? `Unit ${row}, ${col} sees rows ${spans(seen.rows)} and columns ${spans(seen.cols)} of the image: the stronger the colour, the more paths lead to it.${this.beyond(row, col)}`
      : `Unit ${row}, ${col} sees no pixel.`;
  }

  // The rows and columns of the receptive field, where it reaches past the border.
  beyond(row, col) {
    const field = this.graph.fields[this.chosen],
      spans = [];
    for (const [axis, at, n] of [
      ["height", row, 0],
      ["width", col, 1],
    ]) {
      const { size, stride, padding } = field?.[axis] ?? {},
        first = Number(stride) * at - padding;
      if (padding === null || padding === undefined || !Number.isInteger(first)) return "";
      spans.push([first, first + size - 1, this.graph.shapes[0][n]]);
    }
    if (spans.every(([first, last, n]) => first >= 0 && last < n)) return "";
    const [rows, cols] = spans.map(([first, last]) => `${first} to ${last}`);
    return ` Its receptive field reaches past the border: rows ${rows}, columns ${cols}.`;
  }

  told(chosen) {
    const field = this.graph.fields[chosen],
      layer = this.graph.layers[chosen],
      found = [];
    if (field) {
      const say = (axis) => (axis.whole ? "the whole image" : `${axis.size} px`);
      const both = (key) =>
        field.height[key] === field.width[key]
          ? `${field.height[key] ?? "none"}`
          : `${field.height[key] ?? "none"} x ${field.width[key] ?? "none"}`;
      const size =
        say(field.height) === say(field.width) ? say(field.height) : `${say(field.height)} x ${say(field.width)}`;
      found.push(
        ["receptive field", size],
        ["effective stride", both("stride")],
        ["effective padding", both("padding")],
      );
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
        if (input.value !== "" && input.checkValidity())
          set({ at: [middle(Number(this.row.value), height), middle(Number(this.col.value), width)] }, true);
      });
    this.search.addEventListener("input", () => set({ find: this.search.value }, true));
    this.strip.addEventListener("keydown", (event) => {
      const options = this.options.filter((each) => each.dataset.layer !== "0"),
        at = options.findIndex((each) => Number(each.dataset.layer) === this.chosen);
      const next = {
        ArrowRight: at + 1,
        ArrowDown: at + 1,
        ArrowLeft: at - 1,
        ArrowUp: at - 1,
        Home: 0,
        End: options.length - 1,
      }[event.key];
      if (next === undefined) return;
      event.preventDefault();
      const option = options[Math.min(Math.max(next, 0), options.length - 1)];
      if (!option) return;
      set({ layer: Number(option.dataset.layer) });
      option.tabIndex = 0;
      option.focus();
    });
    pointed(
      this.coverage,
      () => this.unitAt,
      () => this.graph.shapes[this.chosen],
      (at) => set({ unit: at }, true),
    );
    pointed(
      this.image,
      () => this.pixel,
      () => this.graph.shapes[0],
      (at) => set({ at }, true),
    );
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

// A name that breaks after its dots and slashes.
const parts = (name) => name.split(/(?<=[./])/).flatMap((part) => [part, make("wbr")]);
const reached = (value) => (value ? `${value.rows.length} x ${value.cols.length} units` : "not reached");

// Shows the audit, and the left map, at another size, with the remedy that the audit names there if one was shown.
export const atSize = (book, asize) => set({ asize, remedy: state.remedy < 0 ? -1 : book.suggested(asize) });

// The list of sizes of a part.
export function sizes(book, size, at) {
  if (!size.children.length)
    book.sizes.forEach(([height, width], i) => size.append(make("option", { value: i }, `${height} x ${width}`)));
  size.value = at;
}

// The lists of sizes and paddings of a part.
export function choices(book, size, padding, at, scheme) {
  sizes(book, size, at);
  padding.replaceChildren(
    ...book.paddings.map((name, i) => {
      const { reason } = book.facts(at, i);
      return make("option", { value: i, title: reason ?? null }, reason ? `${name} (cannot run)` : name);
    }),
  );
  padding.value = scheme;
}
