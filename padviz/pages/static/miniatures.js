// Small maps on canvases: what is reached, what is covered, and the frames around it.

import { runs } from "./graph.js";
import { coloured, table } from "./paint.js";
import { hop } from "./hands.js";

export const SMALL = 72; // screen pixels of a miniature
export const LARGE = 320;
const REACHED = table(["b02a8f"])[0] & 0xffffff; // without its opacity

// Where a share of a map's rows, or columns, is; and the share that stands for one.
export const place = (share, n) => Math.min(Math.max(Math.floor(share * n), 0), n - 1);
export const middle = (at, n) => Number(((Math.min(Math.max(at, 0), n - 1) + 0.5) / n).toFixed(9));

// Lets clicks and arrow keys choose a position of a map.
export function pointed(canvas, at, shape, choose) {
  const put = (row, col) => choose([middle(row, shape()[0]), middle(col, shape()[1])]);
  canvas.addEventListener("click", (event) => {
    const area = canvas.getBoundingClientRect(),
      [height, width] = shape();
    put(
      Math.floor(((event.clientY - area.top) / area.height) * height),
      Math.floor(((event.clientX - area.left) / area.width) * width),
    );
  });
  canvas.addEventListener("keydown", (event) => {
    const next = hop(event, at(), shape());
    if (!next || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    put(...next);
  });
}

// A picture as large as the screen needs, and how many of its pixels a row and a column have.
function sized(canvas, [height, width], most) {
  const scale = Math.min(1, most / Math.max(height, width)),
    tall = Math.max(1, Math.round(height * scale)),
    wide = Math.max(1, Math.round(width * scale));
  const times = Math.max(1, Math.floor(most / Math.max(tall, wide)));
  Object.assign(canvas, { height: tall * times, width: wide * times });
  return [canvas.height / height, canvas.width / width];
}

// Where paths go in a layer: units that are reached are coloured, and no others, so that it fits any theme.
export function mini(canvas, value, shape, most = SMALL) {
  const [down, across] = sized(canvas, shape, most),
    { height, width } = canvas,
    context = canvas.getContext("2d");
  const image = context.createImageData(width, height),
    pixels = new Uint32Array(image.data.buffer);
  if (value) {
    const top = largest(value.values, 0),
      wide = value.cols.length,
      best = new Float64Array(pixels.length);
    value.rows.forEach((row, i) =>
      value.cols.forEach((col, j) => {
        const share = value.values[i * wide + j] / top;
        if (!share) return;
        const [y0, y1] = ends(row, down),
          [x0, x1] = ends(col, across);
        for (let y = y0; y < y1; y++)
          for (let x = x0; x < x1; x++) best[y * width + x] = Math.max(best[y * width + x], share);
      }),
    );
    best.forEach((share, k) => share && (pixels[k] = (Math.round(255 * (0.3 + 0.7 * Math.sqrt(share))) << 24) | REACHED));
  }
  context.putImageData(image, 0, 0);
  if (value)
    for (const rows of runs(value.rows))
      for (const cols of runs(value.cols)) outline(context, canvas, shape, rows, cols, "#fff");
}

const ends = (at, times) => [
  Math.floor(at * times),
  Math.max(Math.floor(at * times) + 1, Math.floor((at + 1) * times)),
];

export function largest(values, least) {
  for (const value of values) if (value > least) least = value;
  return least;
}

// A map of values from 0 to `most`.
export function grid(canvas, found, shape, colours, most) {
  const [down, across] = sized(canvas, shape, LARGE),
    { height, width } = canvas,
    context = canvas.getContext("2d");
  const image = context.createImageData(width, height),
    drawn = new Float64Array(height * width);
  for (let y = 0, k = 0; y < height; y++)
    for (let x = 0; x < width; x++, k++) drawn[k] = found[Math.floor(y / down) * shape[1] + Math.floor(x / across)];
  coloured(drawn, { position: (value) => value / most }, colours, new Uint32Array(image.data.buffer));
  context.putImageData(image, 0, 0);
}

export function box(canvas, shape, rows, cols, colour = "#fff") {
  for (const down of rows)
    for (const across of cols) outline(canvas.getContext("2d"), canvas, shape, down, across, colour);
}

// A frame around some rows and columns, seen on any colour.
function outline(context, { height, width }, [tall, wide], [top, bottom], [left, right], colour) {
  const at = [
    (left / wide) * width,
    (top / tall) * height,
    ((right - left + 1) / wide) * width,
    ((bottom - top + 1) / tall) * height,
  ];
  const grow = Math.max(0, 3 - Math.min(at[2], at[3])) / 2;
  for (const [stroke, thick] of [
    ["#000", 3],
    [colour, 1],
  ]) {
    Object.assign(context, { strokeStyle: stroke, lineWidth: thick, globalAlpha: thick > 1 ? 0.5 : 1 });
    context.strokeRect(
      at[0] + 0.5 - grow,
      at[1] + 0.5 - grow,
      Math.max(at[2] - 1, 1) + 2 * grow,
      Math.max(at[3] - 1, 1) + 2 * grow,
    );
  }
  context.globalAlpha = 1;
}
