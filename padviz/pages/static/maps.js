// A usage map: kept as a core and the rule by which its rows and columns repeat, read exactly, sampled for pictures.

import { counted, log10, ratio, unpacked } from "./numbers.js";

// One axis of a map: which row of the core each row is.
export class Tiling {
  constructor([n, start, period, copies]) {
    Object.assign(this, { n, start, period, copies, kept: n - copies * period });
  }

  of(row) {
    return row - this.period * this.turns(row);
  }

  turns(row) {
    return Math.min(Math.max(Math.floor((row - this.start) / this.period), 0), this.copies);
  }

  first(kept) {
    return kept < this.start + this.period ? kept : kept + this.copies * this.period;
  }

  // The sum of rows before `row`, as [row of a table of sums over the core, times] pairs.
  before(row) {
    const turns = this.turns(row),
      pairs = [[row - turns * this.period, 1]];
    if (turns) pairs.push([this.start + this.period, turns], [this.start, -turns]);
    return pairs;
  }
}

// The [row read, row written, times] of an axis map; backward, of that the other way round.
export function links(axis, backward = false) {
  axis.links ??= axis.strips.flatMap(([to, up, from, step, length, times]) =>
    Array.from({ length }, (_, i) => [from + i * step, to + i * up, times]),
  );
  return backward ? axis.links.map(([read, written, times]) => [written, read, times]) : axis.links;
}

// The rows of a core as sums of rows of the smaller layer that it is made of: [row, times] pairs of each.
function sums(pulls, axis, axes, n) {
  let rows = Array.from({ length: n }, (_, row) => [[row, 1]]);
  for (const pull of pulls) {
    if (pull[axis] < 0) continue;
    const found = Array.from({ length: axes[pull[axis]].n_out }, () => new Map());
    for (const [read, written, times] of links(axes[pull[axis]]))
      for (const [row, more] of rows[read]) {
        const here = found[written];
        here.set(row, (here.get(row) ?? 0) + times * more);
      }
    rows = found.map((each) => [...each]);
  }
  return rows;
}

export class CountMap {
  constructor(facts, book) {
    Object.assign(this, { facts, book });
    this.rows = new Tiling(facts.rows);
    this.cols = new Tiling(facts.cols);
    this.peak = counted(facts.figures.max);
    this.shared = facts.interior !== null;
  }

  get height() {
    return this.rows.n;
  }

  get width() {
    return this.cols.n;
  }

  // Unpacks what is read of it, once.
  ready() {
    this.unpacking ??= (async () => {
      const { core, interior } = this.facts;
      this.source = await this.book.plane(core.plane);
      this.pattern = this.shared ? await this.book.plane(interior) : null;
      this.tall = sums(core.pulls, 0, this.book.axes, this.source.height);
      this.flat = sums(core.pulls, 1, this.book.axes, this.source.width);
      return this;
    })();
    return this.unpacking;
  }

  // The count of a pixel: exact, or a Number where counts are rational.
  at(row, col) {
    const down = this.tall[this.rows.of(row)],
      across = this.flat[this.cols.of(col)];
    const exact = this.source.exact && typeof this.peak === "bigint";
    let sum = exact ? 0n : 0;
    for (const [i, times] of down)
      for (const [j, more] of across) {
        const value = this.source.at(i, j);
        sum += exact ? value * BigInt(times * more) : Number(value) * times * more;
      }
    return sum;
  }

  // What a pixel at the same place in the pattern of strides has far from all borders.
  due(row, col) {
    return this.pattern.at(row % this.pattern.height, col % this.pattern.width);
  }

  // The fair share of a pixel; NaN where it has none.
  share(row, col) {
    if (!this.shared) return NaN;
    const due = this.due(row, col);
    return Number(due) === 0 ? NaN : ratio(this.at(row, col), due);
  }

  // Counts over the largest, of the core.
  relative() {
    if (this.counts) return this.counts;
    const small = this.source.floats(),
      { width } = this.source,
      { tall, flat } = this;
    const down = new Float64Array(tall.length * width);
    tall.forEach((pairs, row) => {
      for (const [i, times] of pairs)
        for (let col = 0; col < width; col++) down[row * width + col] += times * small[i * width + col];
    });
    this.counts = new Float64Array(tall.length * flat.length);
    const scale = 1 / over(this.peak, this.source.exponent);
    for (let row = 0, k = 0; row < tall.length; row++)
      for (let col = 0; col < flat.length; col++, k++) {
        let sum = 0;
        for (const [j, times] of flat[col]) sum += times * down[row * width + j];
        this.counts[k] = sum * scale;
      }
    return this.counts;
  }

  // Fair shares of the core; NaN where there is none.
  shares() {
    if (this.fair) return this.fair;
    const counts = this.relative(),
      { height, width } = this.pattern,
      due = this.pattern.floats();
    const peak = over(this.peak, this.pattern.exponent);
    this.fair = new Float64Array(counts.length);
    for (let row = 0, k = 0; row < this.rows.kept; row++) {
      const phase = (this.rows.first(row) % height) * width;
      for (let col = 0; col < this.cols.kept; col++, k++) {
        const below = due[phase + (this.cols.first(col) % width)];
        this.fair[k] = below ? (counts[k] * peak) / below : NaN;
      }
    }
    return this.fair;
  }

  values(show) {
    return show === "share" && this.shared ? this.shares() : this.relative();
  }

  // Tables of sums over the core, of its values and of how many are there, with a row and a column of zeros in front.
  table(show) {
    const key = show === "share" && this.shared ? "sharing" : "counting";
    if (this[key]) return this[key];
    const values = this.values(show),
      { kept: height } = this.rows,
      { kept: width } = this.cols,
      step = width + 1;
    const total = new Float64Array((height + 1) * step),
      there = new Float64Array((height + 1) * step);
    for (let row = 0, k = 0; row < height; row++) {
      let sum = 0,
        count = 0;
      for (let col = 0; col < width; col++, k++) {
        if (!Number.isNaN(values[k])) ((sum += values[k]), count++);
        const at = (row + 1) * step + col + 1;
        total[at] = total[at - step] + sum;
        there[at] = there[at - step] + count;
      }
    }
    return (this[key] = { total, there, step });
  }

  // Means over blocks: of the rows from downs[i][0] to downs[i][1] and the columns alike; NaN where nothing is read.
  means(show, downs, acrosses) {
    const { total, there, step } = this.table(show),
      rows = downs.map((each) => between(this.rows, each));
    const cols = acrosses.map((each) => between(this.cols, each)),
      found = new Float64Array(rows.length * cols.length);
    const sums = new Float64Array(step),
      counts = new Float64Array(step);
    rows.forEach((pairs, row) => {
      sums.fill(0);
      counts.fill(0);
      for (const [at, times] of pairs)
        for (let col = 0, k = at * step; col < step; col++, k++) {
          sums[col] += times * total[k];
          counts[col] += times * there[k];
        }
      cols.forEach((across, col) => {
        let sum = 0,
          count = 0;
        for (const [at, times] of across) ((sum += times * sums[at]), (count += times * counts[at]));
        found[row * cols.length + col] = count > 0.5 ? Math.max(0, sum / count) : NaN;
      });
    });
    return found;
  }

  // The least value above zero, and the largest.
  ends(show) {
    const key = show === "share" && this.shared ? "shareEnds" : "countEnds";
    if (!this[key]) {
      let least = Infinity,
        most = 0;
      for (const value of this.values(show)) {
        if (value > 0 && value < least) least = value;
        if (value > most) most = value;
      }
      this[key] = [least, most];
    }
    return this[key];
  }
}

const between = (tiling, [start, stop]) => [
  ...tiling.before(stop),
  ...tiling.before(start).map(([at, times]) => [at, -times]),
];

// A count as a float, over 2 to an exponent.
function over(value, exponent) {
  return typeof value === "bigint" ? Number(exponent ? value >> BigInt(exponent) : value) : value;
}

// The payload, with what is in it unpacked when it is first read.
export class Book {
  constructor(payload) {
    Object.assign(this, payload);
    this.opened = new Map();
    this.found = new Map();
  }

  plane(at) {
    if (!this.opened.has(at)) this.opened.set(at, unpacked(this.planes[at]));
    return this.opened.get(at);
  }

  // The map of some facts, once.
  map(facts) {
    if (!this.found.has(facts)) this.found.set(facts, new CountMap(facts, this));
    return this.found.get(facts);
  }

  facts(size, padding) {
    return this.maps[size * this.paddings.length + padding];
  }

  // The size and the padding of some facts; nothing for those of a remedy that is more than a padding scheme.
  placeOf(facts) {
    const at = this.maps.indexOf(facts);
    return at < 0 ? null : [Math.floor(at / this.paddings.length), at % this.paddings.length];
  }

  // The facts of a remedy's map at a size; null where there is no such remedy.
  remedied(size, remedy) {
    const found = this.audits[size].maps?.[remedy] ?? null;
    return typeof found === "number" ? this.maps[found] : found;
  }

  // The first remedy that the audit of a size names; -1 where it names none.
  suggested(size) {
    return this.audits[size].suggested?.[0] ?? -1;
  }

  // What a size and a padding are called.
  named(size, padding) {
    return `${this.sizes[size].join(" x ")}, ${this.paddings[padding]}`;
  }
}

export const logPeak = (map) => log10(map.peak);
