// One map on the screen: its pickers, its picture, the cursor, the read-out and the two profiles.

import { percent, short, whole } from "./numbers.js";
import { bar, clipped, coloured, make, scaleOf, table } from "./paint.js";
import { set, state } from "./state.js";

const NEAREST = 4; // pixels of a side that are shown at the least
const EDGE = 6; // screen pixels that a pointer may move in a click

// Where a key moves the cursor on a map of so many rows and columns; nothing for any other key.
export function hop(event, [row, col], [height, width]) {
  const far = event.shiftKey ? 10 : 1;
  return {
    ArrowUp: [row - far, col],
    ArrowDown: [row + far, col],
    ArrowLeft: [row, col - far],
    ArrowRight: [row, col + far],
    Home: [row, 0],
    End: [row, width - 1],
    PageUp: [0, col],
    PageDown: [height - 1, col],
  }[event.key];
}

export class Panel {
  // `source` gives the facts of the map, `others` the panels beside it, and `follow` goes on to the layers from it.
  constructor(root, book, { source, others, follow }) {
    Object.assign(this, { root, book, source, others, follow });
    for (const name of ["picture", "over", "across", "down", "bar", "read", "facts", "frame", "why"])
      this[name] = root.querySelector(`[data-part="${name}"]`);
    this.tables = { share: table(book.colours.share), counts: table(book.colours.counts) };
    root.querySelector('[data-part="go"]')?.addEventListener("click", () => this.map && this.follow());
    this.listen();
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
    this.facts.replaceChildren(...summary(map.facts));
    this.frame.style.setProperty("--ratio", clampRatio(map.width / map.height));
  }

  get cursor() {
    const [down, across] = state.at;
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

  // The cursor, the read-out, and the profiles through it.
  point() {
    if (!this.map || !this.scale) return;
    const [row, col] = this.cursor,
      seen = this.window,
      { width, height } = this.over,
      context = this.over.getContext("2d");
    const cell = [Math.max(height / seen.rows, 1), Math.max(width / seen.cols, 1)];
    const y = ((row - seen.top) / seen.rows) * height,
      x = ((col - seen.left) / seen.cols) * width;
    context.clearRect(0, 0, width, height);
    for (const [colour, thick] of [
      ["#000", 3],
      ["#fff", 1],
    ]) {
      context.strokeStyle = colour;
      context.lineWidth = thick * (width / this.frame.clientWidth);
      context.globalAlpha = thick > 1 ? 0.55 : 0.9;
      context.beginPath();
      for (const [a, b, c, d] of [
        [0, y + cell[0] / 2, x - 4, y + cell[0] / 2],
        [x + cell[1] + 4, y + cell[0] / 2, width, y + cell[0] / 2],
        [x + cell[1] / 2, 0, x + cell[1] / 2, y - 4],
        [x + cell[1] / 2, y + cell[0] + 4, x + cell[1] / 2, height],
      ]) {
        context.moveTo(a, b);
        context.lineTo(c, d);
      }
      context.stroke();
      context.strokeRect(x - 1, y - 1, cell[1] + 2, cell[0] + 2);
    }
    this.say(row, col);
    this.profile(this.across, this.map.means(state.show, [[row, row + 1]], this.columns), false);
    this.profile(this.down, this.map.means(state.show, this.lines, [[col, col + 1]]), true);
  }

  say(row, col) {
    const count = this.map.at(row, col),
      share = this.map.share(row, col);
    const [where, paths, part] = this.read.children;
    where.textContent = `row ${row}, column ${col}`;
    paths.textContent = `${whole(count)} paths`;
    part.textContent = !this.map.shared
      ? "no fair share"
      : Number.isNaN(share)
        ? "never read, even far from borders"
        : `fair share ${short(share)}`;
    this.said = `row ${row}, column ${col}: ${paths.textContent}, ${part.textContent}`;
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
  }

  listen() {
    const { over } = this,
      fingers = new Map();
    let from = null;
    const at = (event) => {
      const box = over.getBoundingClientRect();
      return [(event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width];
    };
    over.addEventListener("pointerdown", (event) => {
      if (!this.map) return;
      over.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, at(event));
      from = {
        at: at(event),
        x: event.clientX,
        y: event.clientY,
        zoom: [...state.zoom],
        moved: fingers.size > 1 || (from?.moved && fingers.size > 1),
        gap: gap(fingers),
      };
      if (event.pointerType !== "mouse") this.move(at(event));
    });
    over.addEventListener("pointermove", (event) => {
      if (!this.map) return;
      if (!fingers.has(event.pointerId)) {
        if (event.pointerType === "mouse") this.move(at(event));
        return;
      }
      fingers.set(event.pointerId, at(event));
      if (fingers.size > 1) this.zoomTo((from.zoom[0] * gap(fingers)) / (from.gap || 1), middle(fingers), from.zoom);
      else if (Math.hypot(event.clientX - from.x, event.clientY - from.y) > EDGE || from.moved) {
        from.moved = true;
        const [down, across] = at(event),
          [times, y, x] = from.zoom;
        if (times > 1)
          set({ zoom: inside([times, y - (down - from.at[0]) / times, x - (across - from.at[1]) / times]) });
        else this.move([down, across]);
      }
    });
    for (const name of ["pointerup", "pointercancel"])
      over.addEventListener(name, (event) => {
        const alone = fingers.size === 1;
        fingers.delete(event.pointerId);
        if (name === "pointerup" && alone && from && !from.moved && event.pointerType === "mouse" && event.button === 0)
          this.follow?.();
        if (fingers.size) Object.assign(from, { zoom: [...state.zoom], at: [...fingers.values()][0], moved: true });
      });
    over.addEventListener(
      "wheel",
      (event) => {
        if (!this.map || (state.zoom[0] <= 1 && event.deltaY > 0)) return;
        event.preventDefault();
        this.zoomTo(state.zoom[0] * Math.exp(-event.deltaY * 0.002), at(event), state.zoom);
      },
      { passive: false },
    );
    over.addEventListener(
      "keydown",
      (event) => this.map && !event.ctrlKey && !event.metaKey && !event.altKey && this.press(event),
    );
  }

  // Puts the cursor where a pointer is, given as shares of the picture.
  move([down, across]) {
    const seen = this.window;
    this.put(Math.floor(seen.top + clipped(down) * seen.rows), Math.floor(seen.left + clipped(across) * seen.cols));
  }

  put(row, col) {
    const { height, width } = this.map,
      inRange = (at, n) => Math.min(Math.max(at, 0), n - 1);
    set({ at: [rounded((inRange(row, height) + 0.5) / height), rounded((inRange(col, width) + 0.5) / width)] });
  }

  // Zooms about a place of the picture, which keeps its place.
  zoomTo(times, [down, across], [before, y, x]) {
    times = Math.min(Math.max(times, 1), this.mostZoom);
    const held = (middle, share) => middle + (share - 0.5) * (1 / before - 1 / times);
    set({ zoom: inside([times, held(y, down), held(x, across)]) });
  }

  press(event) {
    const next = hop(event, this.cursor, [this.map.height, this.map.width]);
    const around = [0.5, 0.5];
    if (next) {
      this.put(...next);
      this.keepSeen();
    } else if (event.key === "+" || event.key === "=") this.zoomTo(state.zoom[0] * 1.5, this.placeOf(), state.zoom);
    else if (event.key === "-" || event.key === "_") this.zoomTo(state.zoom[0] / 1.5, this.placeOf(), state.zoom);
    else if (event.key === "0" || event.key === "Escape") set({ zoom: [1, ...around] });
    else if (event.key === "Enter" || event.key === " ") this.follow?.();
    else return;
    event.preventDefault();
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
    set({ zoom: inside([times, near(y, down), near(x, across)]) });
  }
}

const rounded = (share) => Number(share.toFixed(9));
const clampRatio = (ratio) => Math.min(Math.max(ratio, 0.4), 4);
const inside = ([times, ...middles]) => [
  rounded(times),
  ...middles.map((middle) => rounded(Math.min(Math.max(middle, 0.5 / times), 1 - 0.5 / times))),
];

function gap(fingers) {
  const [first, second] = [...fingers.values()];
  return second ? Math.hypot(first[0] - second[0], first[1] - second[1]) : 0;
}

function middle(fingers) {
  const [first, second] = [...fingers.values()];
  return [(first[0] + second[0]) / 2, (first[1] + second[1]) / 2];
}

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
    facts = [["target", `${target.join(", ")} (${shape.map((each) => each.join(" × ")).join(", ")})`]];
  if (share)
    facts.push(
      ...(figures.rim === null ? [] : [["rim", `${figures.rim} px`]]),
      ["starved", percent(share.starved)],
      ["overused", percent(share.overused)],
      ["fair shares", `${short(share.least)} to ${short(share.most)}`],
    );
  else facts.push(["fair shares", `none: ${reason}`]);
  const largest = Object.values((share ?? figures).skew).reduce((a, b) =>
    Math.abs(b) > Math.abs(a) ? b : a,
  );
  facts.push([share ? "skew of shares" : "skew of usage", `${largest > 0 ? "+" : ""}${short(largest)}`]);
  return facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]);
}
