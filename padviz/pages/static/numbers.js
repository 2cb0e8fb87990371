// Counts of any length: unpacked from bytes, exact as BigInt, and as floats where a picture is made of them.

const MOST_DIGITS = 100; // bytes of a count that a float is made of: 2^800, and less is none beside it

export class Plane {
  constructor({ height, width, folds, floats }, bytes) {
    Object.assign(this, { height, width, folds, exact: !floats, bytes });
    this.tall = folds.includes("r") ? Math.ceil(height / 2) : height;
    this.wide = folds.includes("c") ? Math.ceil(width / 2) : width;
    this.kept = folds.includes("t") ? (this.tall * (this.tall + 1)) / 2 : this.tall * this.wide;
    this.digits = bytes.length / this.kept;
    this.exponent = this.exact ? 8 * Math.max(0, this.digits - MOST_DIGITS) : 0; // floats are times 2 to this
  }

  // Where the count of a position is kept: mirrored halves and the part below the diagonal are not.
  place(row, col) {
    if (row >= this.tall) row = this.height - 1 - row;
    if (col >= this.wide) col = this.width - 1 - col;
    if (!this.folds.includes("t")) return row * this.wide + col;
    if (row > col) [row, col] = [col, row];
    return row * this.tall - (row * (row - 1)) / 2 + (col - row);
  }

  // The count itself: a BigInt, or a Number where counts are rational.
  at(row, col) {
    const place = this.place(row, col);
    if (!this.exact) return this.kind()[place];
    let value = 0n;
    for (let i = this.digits - 1; i >= 0; i--) value = (value << 8n) + BigInt(this.bytes[i * this.kept + place]);
    return value;
  }

  kind() {
    if (!this.numbers) this.numbers = this.exact ? this.rounded() : this.doubles();
    return this.numbers;
  }

  rounded() {
    const { bytes, digits, kept } = this,
      found = new Float64Array(kept);
    for (let i = digits - 1; i >= Math.max(0, digits - MOST_DIGITS); i--)
      for (let k = 0; k < kept; k++) found[k] = found[k] * 256 + bytes[i * kept + k];
    return found;
  }

  doubles() {
    const { bytes, kept } = this,
      view = new DataView(new ArrayBuffer(8)),
      found = new Float64Array(kept);
    for (let k = 0; k < kept; k++) {
      for (let i = 0; i < 8; i++) view.setUint8(i, bytes[i * kept + k]);
      found[k] = view.getFloat64(0, true);
    }
    return found;
  }

  // All counts as floats, row after row, times 2 to the exponent.
  floats() {
    const kept = this.kind(),
      found = new Float64Array(this.height * this.width);
    for (let row = 0, k = 0; row < this.height; row++)
      for (let col = 0; col < this.width; col++, k++) found[k] = kept[this.place(row, col)];
    return found;
  }
}

export async function unpacked(head) {
  const packed = Uint8Array.from(atob(head.data), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Plane(head, new Uint8Array(await new Response(stream).arrayBuffer()));
}

// A count of the payload, which is a text where it is an integer.
export const counted = (value) => (typeof value === "string" ? BigInt(value) : value);

// The ratio of two counts, however long both are.
export function ratio(above, below) {
  if (typeof above !== "bigint" || typeof below !== "bigint") return Number(above) / Number(below);
  const shift = BigInt(Math.max(0, bits(above) - 1000, bits(below) - 1000));
  return Number(above >> shift) / Number(below >> shift);
}

const bits = (value) => value.toString(16).length * 4;

export function log10(value) {
  if (typeof value !== "bigint") return Math.log10(value);
  const digits = value.toString();
  return Math.log10(Number(digits.slice(0, 17))) + Math.max(0, digits.length - 17);
}

// An exact count with its thousands apart, or a rational one to twelve digits.
export function whole(value) {
  if (typeof value === "bigint") return value.toLocaleString("en-GB");
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return value.toLocaleString("en-GB");
  return Math.abs(value) < 1e15
    ? Number(value.toPrecision(12)).toLocaleString("en-GB", { maximumFractionDigits: 12 })
    : powered(value.toExponential(11));
}

// A figure to four digits.
export function short(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "none";
  if (typeof value === "bigint") return value < 10n ** 9n ? whole(value) : power(log10(value));
  if (value === 0 || (Math.abs(value) >= 1e-4 && Math.abs(value) < 1e5)) return String(Number(value.toPrecision(4)));
  return Math.abs(value) < 1e9 && Number.isInteger(value)
    ? whole(value)
    : powered(value.toExponential(3));
}

// A number of the form 1.5e+20, with its power of ten written out.
const powered = (text) => text.replace(/\.?0*e\+?(-?\d+)/, (_, power) => ` × ${tenTo(power)}`);

function power(log) {
  const exponent = Math.floor(log);
  return `${(10 ** (log - exponent)).toFixed(3)} × ${tenTo(exponent)}`;
}

// A power of ten, with its exponent raised.
export const tenTo = (power) =>
  `10${String(power).replace(/./g, (sign) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(sign)])}`;

export const percent = (share) => `${(100 * share).toFixed(1)} %`;
