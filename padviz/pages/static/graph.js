// The layers that paths lead through: what a pixel reaches, what a unit sees, and how much of it is padding.

const MOST = 4e6; // positions of a layer that are followed

// Values at some rows and columns of a layer: those that paths touch, in order.
const patch = (rows, cols, values) => ({ rows, cols, values });

// What an axis map hands from those rows on: the rows reached, and the [place among the given rows, times] of each.
function handed(rows, { strips }, backward) {
  const reached = new Map();
  const add = (row, place, times) => {
    if (!reached.has(row)) reached.set(row, []);
    reached.get(row).push([place, times]);
  };
  for (const strip of strips) {
    const [to, up, from, step, length, times] = backward
      ? [strip[2], strip[3], strip[0], strip[1], strip[4], strip[5]]
      : strip;
    rows.forEach((row, place) => {
      if (step === 0) {
        if (row === from) for (let i = 0; i < length; i++) add(to + i * up, place, times);
        return;
      }
      const i = (row - from) / step;
      if (Number.isInteger(i) && i >= 0 && i < length) add(to + i * up, place, times);
    });
  }
  const order = [...reached.keys()].sort((a, b) => a - b);
  return { rows: order, pairs: order.map((row) => reached.get(row)) };
}

function down(value, axis, backward) {
  if (!axis) return value;
  const { rows, pairs } = handed(value.rows, axis, backward),
    width = value.cols.length;
  roomy(rows.length * width);
  const values = new Float64Array(rows.length * width);
  pairs.forEach((each, row) => {
    for (const [place, times] of each)
      for (let col = 0; col < width; col++) values[row * width + col] += times * value.values[place * width + col];
  });
  return patch(rows, value.cols, values);
}

function across(value, axis, backward) {
  if (!axis) return value;
  const { rows: cols, pairs } = handed(value.cols, axis, backward),
    height = value.rows.length,
    wide = value.cols.length;
  roomy(height * cols.length);
  const values = new Float64Array(height * cols.length);
  for (let row = 0, k = 0; row < height; row++)
    for (const each of pairs) {
      let sum = 0;
      for (const [place, times] of each) sum += times * value.values[row * wide + place];
      values[k++] = sum;
    }
  return patch(value.rows, cols, values);
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
      found.push(entering && this.filled(across(down(entering, this.reads[i][0]), this.reads[i][1])));
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
      const pulled = down(across(here[i], this.reads[i][1], true), this.reads[i][0], true);
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
