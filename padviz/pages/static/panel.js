// One map on the screen: its picture, the cursor, the read-out and the two profiles.

import { listening } from "./hands.js";
import { percent, short, whole } from "./numbers.js";
import { bar, clipped, coloured, make, scaleOf, table } from "./paint.js";
import { pinned, set, state } from "./state.js";

const NEAREST = 4; // pixels of a side that are shown at the least
const LINES = [0.5, 1]; // fair shares that profiles are seen against

export class Panel {
  // `source` gives the facts of the map, `others` the panels beside it, and `follow` goes on to the layers from it.
  constructor(root, book, { source, others, follow }) {
    Object.assign(this, { root, book, source, others });
    for (const name of ["picture", "over", "across", "down", "bar", "read", "facts", "frame", "why", "tip", "go"])
      this[name] = root.querySelector(`[data-part="${name}"]`);
    this.tables = { share: table(book.colours.share), counts: table(book.colours.counts) };
    this.follow = () => this.map && !this.go.hidden && follow();
    this.go.addEventListener("click", this.follow);
    listening(this);
    new ResizeObserver(() => this.draw()).observe(this.frame);
  }

  async choose() {
    const facts = this.source();
    this.shown = facts;
    this.root.classList.toggle("cannot", !facts || Boolean(facts.reason));
    this.why.textContent = facts?.reason ?? "";
    this.map = null;
    if (!facts || facts.reason) return;
    const map = await this.book.map(facts).ready();
    if (facts !== this.source()) return;
    this.map = map;
    this.go.hidden = !facts.targets;
    this.facts.replaceChildren(...summary(map.facts));
    this.frame.parentElement.style.setProperty("--ratio", clampRatio(map.width / map.height));
  }

  // The pixel under the pointer, or else the one that is pinned.
  get cursor() {
    return this.pixel(state.hover ?? state.at);
  }

  pixel([down, across]) {
    const at = (share, n) => Math.min(Math.max(Math.floor(share * n), 0), n - 1);
    return [at(down, this.map.height), at(across, this.map.width)];
  }

  // The part of the map that is seen: its first row and column, and how many there are.
  get window() {
    const [times, down, across] = state.zoom,
      { height, width } = this.map;
    const first = (middle) => clipped(Math.min(middle - 0.5 / times, 1 - 1 / times));
    return { top: first(down) * height, left: first(across) * width, rows: height / times, cols: width / times };
  }

  get mostZoom() {
    return Math.max(1, Math.min(this.map.height, this.map.width) / NEAREST);
  }

  draw() {
    if (!this.map || !this.frame.clientWidth) return;
    const sharp = Math.min(devicePixelRatio || 1, 2),
      wide = Math.round(this.frame.clientWidth * sharp),
      tall = Math.round(this.frame.clientHeight * sharp);
    for (const canvas of [this.picture, this.over])
      if (canvas.width !== wide || canvas.height !== tall) Object.assign(canvas, { width: wide, height: tall });
    const shown = this.others()
      .filter((each) => each.map)
      .map((each) => each.map);
    this.root.classList.toggle("zoomed", state.zoom[0] > 1);
    this.scale = scaleOf(this.map, state, shown);
    const seen = this.window,
      context = this.picture.getContext("2d");
    this.columns = blocks(seen.left, seen.cols, wide, this.map.width);
    this.lines = blocks(seen.top, seen.rows, tall, this.map.height);
    const values = this.map.means(state.show, this.lines, this.columns),
      image = context.createImageData(wide, tall);
    coloured(values, this.scale, this.tables[this.scale.kind], new Uint32Array(image.data.buffer));
    context.putImageData(image, 0, 0);
    bar(this.bar, this.scale, this.book.colours[this.scale.kind]);
    this.point();
  }

  // The cursor and the pin, once a person has pointed anywhere, the read-out, and the profiles through the cursor.
  point() {
    if (!this.map || !this.scale) return;
    const [row, col] = this.cursor;
    this.over.getContext("2d").clearRect(0, 0, this.over.width, this.over.height);
    this.rims();
    if (state.hover || pinned()) this.mark(row, col);
    this.say(row, col);
    this.profile(this.across, this.map.means(state.show, [[row, row + 1]], this.columns), false);
    this.profile(this.down, this.map.means(state.show, this.lines, [[col, col + 1]]), true);
  }

  // A dashed line where each rim ends, with its depth in px; none where the rims overlap.
  rims() {
    const { share, depths } = this.map.facts.figures,
      context = this.over.getContext("2d");
    if (!depths || share?.starved === 1) return;
    const { width, height } = this.over;
    const line = (depth, far, row, col, alongRow) => {
      if (!depth) return;
      const [y, x] = this.cell(row, col),
        text = `${depth} px`;
      context.setLineDash([5 * this.sharp, 4 * this.sharp]);
      this.stroke(context, () => {
        context.moveTo(alongRow ? 0 : x, alongRow ? y : 0);
        context.lineTo(alongRow ? width : x, alongRow ? y : height);
      });
      context.setLineDash([]);
      context.globalAlpha = 1;
      context.font = `${11 * this.sharp}px sans-serif`;
      const wide = context.measureText(text).width,
        tall = 12 * this.sharp,
        gap = 3 * this.sharp;
      const left = alongRow ? (width - wide) / 2 : far ? x - wide - gap : x + gap,
        base = alongRow ? (far ? y - gap : y + tall) : height / 2;
      context.fillStyle = "#000a";
      context.fillRect(left - 2, base - tall + gap, wide + 4, tall);
      context.fillStyle = "#fff";
      context.fillText(text, left, base);
    };
    line(depths.height[0], false, depths.height[0], 0, true);
    line(depths.height[1], true, this.map.height - depths.height[1], 0, true);
    line(depths.width[0], false, 0, depths.width[0], false);
    line(depths.width[1], true, 0, this.map.width - depths.width[1], false);
  }

  // A cross hair on a pixel, and a ring around the one that is pinned.
  mark(row, col) {
    const { width, height } = this.over,
      context = this.over.getContext("2d"),
      [y, x, tall, wide] = this.cell(row, col);
    const cross = [
      [0, y + tall / 2, x - 4, y + tall / 2],
      [x + wide + 4, y + tall / 2, width, y + tall / 2],
      [x + wide / 2, 0, x + wide / 2, y - 4],
      [x + wide / 2, y + tall + 4, x + wide / 2, height],
    ];
    this.stroke(context, () => {
      for (const [a, b, c, d] of cross) {
        context.moveTo(a, b);
        context.lineTo(c, d);
      }
      context.rect(x - 1, y - 1, wide + 2, tall + 2);
    });
    const [top, left, high, broad] = this.cell(...this.pixel(state.at)),
      radius = Math.max(high, broad, 6 * this.sharp);
    this.stroke(context, () => context.arc(left + broad / 2, top + high / 2, radius, 0, 7));
  }

  get sharp() {
    return this.over.width / this.frame.clientWidth;
  }

  // Where a pixel is on the canvas: its top, its left, and how large it is.
  cell(row, col) {
    const seen = this.window,
      { width, height } = this.over;
    return [
      ((row - seen.top) / seen.rows) * height,
      ((col - seen.left) / seen.cols) * width,
      Math.max(height / seen.rows, 1),
      Math.max(width / seen.cols, 1),
    ];
  }

  // A line that is seen on any colour.
  stroke(context, path) {
    for (const [strokeStyle, thick, globalAlpha] of [
      ["#000", 3, 0.55],
      ["#fff", 1, 0.9],
    ]) {
      Object.assign(context, { strokeStyle, globalAlpha, lineWidth: thick * this.sharp });
      context.beginPath();
      path();
      context.stroke();
    }
  }

  say(row, col) {
    const count = this.map.at(row, col),
      share = this.map.share(row, col);
    const [where, part, paths] = this.read.children;
    where.textContent = `row ${row}, column ${col}`;
    paths.textContent = `${whole(count)} paths`;
    part.textContent = !this.map.shared
      ? "no fair share"
      : Number.isNaN(share)
        ? "never read, even far from borders"
        : `fair share ${short(share)}`;
    this.said = `row ${row}, column ${col}: ${paths.textContent}, ${part.textContent}`;
    this.tip.hidden = !state.hover;
    if (state.hover) this.label(row, col, [part.textContent, `${short(count)} paths`, where.textContent]);
  }

  // Says what a pixel has beside it, away from the nearer borders.
  label(row, col, [first, ...rest]) {
    const [y, x, tall, wide] = this.cell(row, col).map((each) => each / this.sharp),
      { clientWidth: width, clientHeight: height } = this.frame;
    this.tip.replaceChildren(make("strong", {}, first), ...rest.map((each) => make("span", {}, each)));
    Object.assign(this.tip.style, {
      left: x > width / 2 ? "" : `${x + wide + 10}px`,
      right: x > width / 2 ? `${width - x + 10}px` : "",
      top: y > height / 2 ? "" : `${y + tall + 10}px`,
      bottom: y > height / 2 ? `${height - y + 10}px` : "",
    });
  }

  // A line of values: across the picture, or down beside it.
  profile(svg, values, down) {
    const length = values.length,
      points = [];
    let pen = "M";
    for (let k = 0; k < length; k++) {
      const place = this.scale.position(values[k]);
      if (Number.isNaN(place)) {
        pen = "M";
        continue;
      }
      const along = ((k + 0.5) / length) * 1000,
        up = 100 * clipped(place);
      points.push(
        down ? `${pen}${up.toFixed(1)} ${along.toFixed(1)}` : `${pen}${along.toFixed(1)} ${(100 - up).toFixed(1)}`,
      );
      pen = "L";
    }
    svg.querySelector("path").setAttribute("d", points.join(""));
    svg.classList.toggle("shares", this.scale.kind === "share");
    svg.querySelectorAll("line").forEach((line, i) => {
      const up = (100 * clipped(this.scale.position(LINES[i]))).toFixed(1);
      for (const end of [1, 2]) line.setAttribute(`${down ? "x" : "y"}${end}`, down ? up : 100 - up);
    });
  }

  // The place of a pixel under a pointer, which is at shares of the picture.
  placeAt([down, across]) {
    const seen = this.window;
    return this.middle(
      Math.floor(seen.top + clipped(down) * seen.rows),
      Math.floor(seen.left + clipped(across) * seen.cols),
    );
  }

  // The middle of a pixel, as shares of the map.
  middle(row, col) {
    const share = (at, n) => rounded((Math.min(Math.max(at, 0), n - 1) + 0.5) / n);
    return [share(row, this.map.height), share(col, this.map.width)];
  }

  // Zooms about a place of the picture, which keeps its place.
  zoomTo(times, [down, across], [before, y, x]) {
    times = Math.min(Math.max(times, 1), this.mostZoom);
    const held = (middle, share) => middle + (share - 0.5) * (1 / before - 1 / times);
    this.look([times, held(y, down), held(x, across)]);
  }

  look(zoom) {
    set({ zoom: inside(zoom) }, true);
  }

  // Where the cursor is in the picture.
  placeOf() {
    const [row, col] = this.cursor,
      seen = this.window;
    return [clipped((row + 0.5 - seen.top) / seen.rows), clipped((col + 0.5 - seen.left) / seen.cols)];
  }

  // Moves what is seen so far that the cursor is in it.
  keepSeen() {
    const [times, y, x] = state.zoom,
      [down, across] = state.at,
      half = 0.5 / times;
    const near = (middle, at) => Math.min(Math.max(middle, at - half * 0.96), at + half * 0.96);
    this.look([times, near(y, down), near(x, across)]);
  }
}

const rounded = (share) => Number(share.toFixed(9));
const clampRatio = (ratio) => Math.min(Math.max(ratio, 0.4), 4);
const inside = ([times, ...middles]) => [
  rounded(times),
  ...middles.map((middle) => rounded(Math.min(Math.max(middle, 0.5 / times), 1 - 0.5 / times))),
];

// The rows, or columns, of the map that each row of the screen shows.
function blocks(first, many, pixels, n) {
  const step = many / pixels;
  return Array.from({ length: pixels }, (_, i) => {
    const start = Math.min(Math.floor(step < 1 ? first + (i + 0.5) * step : first + i * step), n - 1);
    return [start, step <= 1 ? start + 1 : Math.min(Math.max(Math.floor(first + (i + 1) * step), start + 1), n)];
  });
}

function summary({ figures, target, shape, share_reason: reason }) {
  const { share } = figures,
    facts = [["target", `${target.join(", ")} (${shape.map((each) => each.join(" x ")).join(", ")})`]];
  if (share)
    facts.push(
      ...(figures.rim === null ? [] : [["rim, px", figures.rim]]),
      ["starved", percent(share.starved)],
      ["overused", percent(share.overused)],
      ["fair shares", `${short(share.min)} to ${short(share.max)}`],
    );
  else facts.push(["fair shares", `none: ${reason}`]);
  const largest = Object.values(share?.skew ?? figures.skew).reduce((a, b) =>
    Math.abs(b) > Math.abs(a) ? b : a,
  );
  facts.push([share ? "skew of shares" : "skew of usage", `${largest > 0 ? "+" : ""}${short(largest)}`]);
  return facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]);
}
