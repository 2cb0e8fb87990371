// One layer on a small image, as padviz.geometry.one_layer shows it: every combination is tested.

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

// A window of `kernel` taps, `dilation` apart, over a padded axis that Python sends: the pixel that each place copies, or
// null, with the rows before the first pixel; or a text that says why it cannot be.
export class Axis {
  constructor(sent, kernel, stride, dilation, scheme) {
    if (typeof sent === "string") throw new RangeError(sent);
    const [before, padded] = sent;
    Object.assign(this, { kernel, stride, dilation, scheme, before, padded });
    this.units = Math.floor((padded.length - dilation * (kernel - 1) - 1) / stride) + 1;
  }

  // The pixels that the taps of a unit read.
  reads(unit) {
    return Array.from({ length: this.kernel }, (_, tap) => this.padded[unit * this.stride + tap * this.dilation]);
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

// A square window over a square image of `windows.size` pixels a side, whose axes Python sends.
export class Illustration {
  constructor(windows, kernel, stride, dilation, scheme) {
    this.n = windows.size;
    this.axis = new Axis(windows.axes[scheme][`${kernel},${dilation}`], kernel, stride, dilation, scheme);
  }

  get padded() {
    const rows = this.axis.padded,
      letter = (number) => (this.n ** 2 <= LETTERS.length ? LETTERS[number] : String(number));
    return rows.map((row) => rows.map((col) => (row === null || col === null ? EMPTY : letter(row * this.n + col))));
  }

  // How often windows use a pixel of this row, or column, far from all borders.
  due(pixel) {
    const { before, dilation, kernel, stride } = this.axis;
    return Array.from({ length: kernel }, (_, tap) => before + pixel - tap * dilation).filter((at) => at % stride === 0)
      .length;
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
export function illustrated(windows, kernel, stride, dilation, scheme, row, col) {
  try {
    const shown = new Illustration(windows, kernel, stride, dilation, scheme),
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
