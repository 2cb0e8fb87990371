// One layer on a small image, worked out in the page as padviz.audit.one_layer does: every combination is tested.

const EMPTY = "·";
const LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

// A fraction of two whole numbers, in lowest terms.
export class Fraction {
  constructor(above, below = 1) {
    const shared = divisor(above, below) || 1;
    this.above = above / shared;
    this.below = below / shared;
  }

  plus(other) {
    return new Fraction(this.above * other.below + other.above * this.below, this.below * other.below);
  }

  times(other) {
    return new Fraction(this.above * other.above, this.below * other.below);
  }

  get number() {
    return this.above / this.below;
  }

  toString() {
    return this.below === 1 ? String(this.above) : `${this.above}/${this.below}`;
  }
}

const divisor = (a, b) => (b ? divisor(b, a % b) : a);
const NONE = new Fraction(0),
  ONE = new Fraction(1);

// One axis: a window of `kernel` taps over `n` pixels, padded so that stride 1 keeps the size, unless the scheme differs.
export class Axis {
  constructor(kernel, stride, dilation, n, scheme) {
    const extent = dilation * (kernel - 1) + 1,
      before = Math.floor((extent - 1) / 2);
    const pads = { valid: [0, 0], full: [extent - 1, extent - 1] }[scheme] ?? [before, extent - 1 - before];
    Object.assign(this, { kernel, stride, dilation, n, scheme, before: pads[0], after: pads[1] });
    this.units = Math.floor((n + pads[0] + pads[1] - extent) / stride) + 1;
    const most = { reflect: n - 1, symmetric: n, circular: n }[scheme] ?? Infinity,
      rows = n === 1 ? "row" : "rows";
    if (this.units < 1) throw new RangeError(`${scheme}: its input has ${n} ${rows} and its window spans ${extent}`);
    if (Math.max(...pads) > most)
      throw new RangeError(
        `${scheme}: its input has ${n} ${rows}, too few for ${scheme} padding of ${Math.max(...pads)}`,
      );
  }

  // The pixel that a place of the padded axis copies, from -before on; null where it copies none.
  copied(at) {
    const { n, scheme } = this;
    if (at >= 0 && at < n) return at;
    if (scheme === "replicate") return at < 0 ? 0 : n - 1;
    if (scheme === "reflect") return at < 0 ? -at : 2 * (n - 1) - at;
    if (scheme === "symmetric") return at < 0 ? -1 - at : 2 * n - 1 - at;
    return scheme === "circular" ? (at + n) % n : null;
  }

  get padded() {
    return Array.from({ length: this.before + this.n + this.after }, (_, at) => this.copied(at - this.before));
  }

  // The pixels that the taps of a unit read.
  reads(unit) {
    return Array.from({ length: this.kernel }, (_, tap) =>
      this.copied(unit * this.stride + tap * this.dilation - this.before),
    );
  }

  // How often each tap reads a pixel; a unit of a partial convolution counts kernel / taps that hit pixels.
  taps(pixel) {
    const found = Array(this.kernel).fill(NONE);
    for (let unit = 0; unit < this.units; unit++) {
      const reads = this.reads(unit);
      reads.forEach((at, tap) => at === pixel && (found[tap] = found[tap].plus(this.weight(reads))));
    }
    return found;
  }

  weight(reads) {
    const hits = reads.filter((at) => at !== null).length;
    return this.scheme === "partial" && hits ? new Fraction(this.kernel, hits) : ONE;
  }

  uses(pixel) {
    return this.taps(pixel).reduce((sum, each) => sum.plus(each), NONE);
  }

  // The units that read a pixel, each with the taps that do.
  users(pixel) {
    return Array.from({ length: this.units }, (_, unit) => ({
      unit,
      taps: this.reads(unit).flatMap((at, tap) => (at === pixel ? [tap] : [])),
    })).filter(({ taps }) => taps.length);
  }
}

// A square window over a square image of `n` x `n` pixels.
export class Illustration {
  constructor(kernel, stride, dilation, n, scheme) {
    this.n = n;
    this.axis = new Axis(kernel, stride, dilation, n, scheme);
  }

  get padded() {
    const rows = this.axis.padded,
      letter = (number) => (this.n ** 2 <= LETTERS.length ? LETTERS[number] : String(number));
    return rows.map((row) => rows.map((col) => (row === null || col === null ? EMPTY : letter(row * this.n + col))));
  }

  get uses() {
    const each = Array.from({ length: this.n }, (_, pixel) => this.axis.uses(pixel));
    return each.map((row) => each.map((col) => row.times(col)));
  }

  taps(row, col) {
    const across = this.axis.taps(col);
    return this.axis.taps(row).map((down) => across.map((each) => down.times(each)));
  }

  // The windows that use a pixel: the unit, the first place of the window in the padded image, and the cells that read it.
  windows(row, col) {
    const across = this.axis.users(col),
      { stride } = this.axis;
    return this.axis.users(row).flatMap((down) =>
      across.map((side) => ({
        unit: [down.unit, side.unit],
        at: [down.unit * stride, side.unit * stride],
        rows: down.taps,
        cols: side.taps,
      })),
    );
  }
}

// All of it as texts, for a test against the engine.
export function illustrated(kernel, stride, dilation, n, scheme, row, col) {
  try {
    const shown = new Illustration(kernel, stride, dilation, n, scheme),
      texts = (grid) => grid.map((line) => line.map(String));
    return {
      padded: texts(shown.padded),
      uses: texts(shown.uses),
      taps: texts(shown.taps(row, col)),
      windows: shown.windows(row, col).length,
    };
  } catch (error) {
    return { error: error.message };
  }
}
