// The layers that paths lead through: what a pixel reaches, what a unit sees, and how much of it is padding.

import { links } from "./maps.js";

const MOST = 4e6; // positions of a layer that are followed

// Values at some rows and columns of a layer: those that paths touch, in order.
const patch = (rows, cols, values) => ({ rows, cols, values });

// What the rows of a value hand on along an axis map.
function moved(value, axis, backward) {
  if (!axis) return value;
  const places = new Map(value.rows.map((row, place) => [row, place])),
    pairs = links(axis, backward).filter(([read]) => places.has(read)),
    rows = [...new Set(pairs.map(([, written]) => written))].sort((a, b) => a - b),
    order = new Map(rows.map((row, place) => [row, place])),
    width = value.cols.length;
  roomy(rows.length * width);
  const values = new Float64Array(rows.length * width);
  for (const [read, written, times] of pairs) {
    const [from, to] = [places.get(read) * width, order.get(written) * width];
    for (let col = 0; col < width; col++) values[to + col] += times * value.values[from + col];
  }
  return patch(rows, value.cols, values);
}

// Rows as columns, and columns as rows.
function turned({ rows, cols, values }) {
  const out = new Float64Array(values.length);
  for (let row = 0, k = 0; row < rows.length; row++)
    for (let col = 0; col < cols.length; col++) out[col * rows.length + row] = values[k++];
  return patch(cols, rows, out);
}

// What a value becomes through the maps of a layer's height and width.
function through(value, [height, width], backward) {
  const tall = moved(value, height, backward);
  return width ? turned(moved(turned(tall), width, backward)) : tall;
}

function roomy(positions) {
  if (positions > MOST) throw new RangeError("too many positions to follow in a page");
}

function union(a, b) {
  return [...new Set([...a, ...b])].sort((x, y) => x - y);
}

function sum(a, b) {
  if (!a) return b;
  const rows = union(a.rows, b.rows),
    cols = union(a.cols, b.cols),
    values = new Float64Array(rows.length * cols.length);
  for (const each of [a, b]) {
    const places = [each.rows.map((row) => rows.indexOf(row)), each.cols.map((col) => cols.indexOf(col))];
    places[0].forEach((row, i) =>
      places[1].forEach((col, j) => (values[row * cols.length + col] += each.values[i * each.cols.length + j])),
    );
  }
  return patch(rows, cols, values);
}

export class Graph {
  constructor(facts, book) {
    const record = (key) => book.records[facts[key]];
    Object.assign(this, { layers: record("graph"), shapes: record("shapes"), targets: facts.targets, facts });
    for (const key of ["ledger", "exposure", "fields"]) this[key] = record(key);
    this.reads = record("reads").map((pair) => pair.map((at) => (at < 0 ? null : book.axes[at])));
    this.full = record("taps").reduce(
      (full, taps, i) => [...full, i ? this.layers[i].inputs.reduce((all, j) => all + full[j], 0) * Number(taps) : 1],
      [],
    );
  }

  // The layers that stand in the strip: all that do something, and the image.
  get shown() {
    return this.layers
      .map((layer, i) => i)
      .filter((i) => i === 0 || this.layers[i].kind !== "identity" || this.layers[i].whole);
  }

  // How many paths from some pixels reach each unit of every layer; null where none does.
  forward(seed) {
    const found = [seed];
    for (let i = 1; i < this.layers.length; i++) {
      const entering = this.layers[i].inputs
        .map((j) => found[j])
        .filter(Boolean)
        .reduce(sum, null);
      found.push(entering && this.filled(through(entering, this.reads[i])));
    }
    return found;
  }

  filled(value) {
    return value.values.some(Boolean) ? value : null;
  }

  reached(row, col) {
    return this.forward(patch([row], [col], Float64Array.of(1)));
  }

  // The share of the paths of each unit of a layer that start at real pixels.
  coverage(layer) {
    this.covered ??= (() => {
      const [height, width] = this.shapes[0];
      roomy(height * width);
      return this.forward(
        patch([...Array(height).keys()], [...Array(width).keys()], new Float64Array(height * width).fill(1)),
      );
    })();
    const { rows, cols, values } = this.covered[layer] ?? patch([], [], []),
      [height, width] = this.shapes[layer];
    const found = new Float64Array(height * width);
    rows.forEach((row, i) =>
      cols.forEach((col, j) => (found[row * width + col] = values[i * cols.length + j] / this.full[layer])),
    );
    return found;
  }

  // How many paths lead from each pixel to one unit of a layer.
  seen(layer, row, col) {
    const here = Array(this.layers.length).fill(null);
    here[layer] = patch([row], [col], Float64Array.of(1));
    for (let i = layer; i > 0; i--) {
      if (!here[i]) continue;
      const pulled = through(here[i], this.reads[i], true);
      for (const j of this.layers[i].inputs) here[j] = sum(here[j], pulled);
      here[i] = null;
    }
    return here[0];
  }
}

// Neighbouring numbers as [first, last] pairs.
export function runs(numbers) {
  const found = [];
  for (const each of numbers) {
    if (found.length && found.at(-1)[1] === each - 1) found.at(-1)[1] = each;
    else found.push([each, each]);
  }
  return found;
}
