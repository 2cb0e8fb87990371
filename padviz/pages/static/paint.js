// Colours: values to places on a scale, places to colours, and the bar that says what they mean.

import { log10, short, tenTo } from "./numbers.js";

const SVG = "http://www.w3.org/2000/svg";

// An element with attributes and children; texts are only ever texts.
export function make(name, attributes = {}, ...children) {
  const svg = ["svg", "path", "line", "text", "rect", "g", "title", "polyline"].includes(name);
  const element = svg ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes))
    if (key.startsWith("aria-")) element.setAttribute(key, String(value));
    else if (value !== null && value !== false) element.setAttribute(key, value === true ? "" : value);
  element.append(...children.filter((each) => each !== null && each !== undefined));
  return element;
}

// Hexadecimal colours as the pixels of a picture have them.
export function table(colours) {
  return Uint32Array.from(colours, (hex) => {
    const rgb = parseInt(hex, 16);
    return (0xff << 24) | ((rgb & 0xff) << 16) | (rgb & 0xff00) | (rgb >> 16);
  });
}

export const UNREAD = table(["8c8c8c"])[0];

// What the colours of a map stand for, where several maps may share the scale.
export function scaleOf(map, { show, log, own }, maps) {
  if (show === "share" && map.shared) return own ? ownShares(map, log) : log ? LOG_SHARES : SHARES;
  const peaks = maps.map((each) => log10(each.peak));
  const factor = own ? 1 : 10 ** (log10(map.peak) - Math.max(...peaks));
  const top = own ? map.peak : maps[peaks.indexOf(Math.max(...peaks))].peak;
  const power = Math.floor(log10(top)),
    mantissa = 10 ** (log10(top) - power);
  const unit = power > 4 ? ` × ${tenTo(power)}` : "";
  if (!log) {
    const scaled = unit ? mantissa : mantissa * 10 ** power,
      step = nice(scaled / 4);
    const ticks = [];
    for (let tick = 0; tick <= scaled * 1.0001; tick += step) ticks.push([tick / scaled, short(tick)]);
    return { kind: "counts", unit: `paths${unit}`, position: (value) => value * factor, ticks };
  }
  const least = Math.log10(
    Math.max(
      1e-12,
      own
        ? map.ends("count")[0]
        : Math.min(...maps.map((each, i) => each.ends("count")[0] * 10 ** (peaks[i] - Math.max(...peaks)))),
    ),
  );
  const ticks = [];
  for (let tick = Math.ceil(least + log10(top)); tick <= log10(top) + 1e-9; tick++)
    ticks.push([(tick - log10(top) - least) / (-least || 1), tenTo(tick)]);
  const every = Math.ceil(ticks.length / 5);
  return {
    kind: "counts",
    unit: "paths",
    position: (value) => (value > 0 ? 1 - Math.log10(value * factor) / (least || -1) : 0),
    ticks: ticks.filter((_, i) => (ticks.length - 1 - i) % every === 0),
  };
}

const shares = (position, ticks) => ({ kind: "share", unit: "fair share", position, ticks });
const SHARES = shares(
  (value) => value / 2,
  [
    [0, "0"],
    [0.25, "0.5"],
    [0.5, "1 fair"],
    [0.75, "1.5"],
    [1, "2+"],
  ],
);
const LOG_SHARES = shares(
  (value) => (value > 0 ? 0.5 + Math.log10(value) / 4 : 0),
  [
    [0, "0.01"],
    [0.25, "0.1"],
    [0.5, "1 fair"],
    [0.75, "10"],
    [1, "100"],
  ],
);

function ownShares(map, log) {
  const [least, most] = map.ends("share");
  if (log) {
    const far = Math.max(Math.abs(Math.log10(least)), Math.abs(Math.log10(most)), 0.01);
    return shares(
      (value) => (value > 0 ? 0.5 + Math.log10(value) / far / 2 : 0),
      [
        [0, short(10 ** -far)],
        [0.5, "1 fair"],
        [1, short(10 ** far)],
      ],
    );
  }
  const low = Math.min(least, 0.999),
    high = Math.max(most, 1.001);
  return shares(
    (value) => (value < 1 ? ((value - low) / (1 - low)) * 0.5 : 0.5 + ((value - 1) / (high - 1)) * 0.5),
    [
      [0, short(low)],
      [0.5, "1 fair"],
      [1, short(high)],
    ],
  );
}

function nice(step) {
  const power = 10 ** Math.floor(Math.log10(step));
  return [1, 2, 2.5, 5, 10].find((each) => each * power >= step * 0.999) * power;
}

export const clipped = (place) => Math.min(Math.max(place, 0), 1);

// Values as pixels.
export function coloured(values, scale, colours, pixels) {
  const last = colours.length - 1;
  for (let k = 0; k < values.length; k++) {
    const place = scale.position(values[k]);
    pixels[k] = place !== place ? UNREAD : colours[(clipped(place) * last + 0.5) | 0];
  }
}

// The bar of a scale, with its ticks.
export function bar(root, scale, colours, name) {
  const stops = [0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1].map(
    (at) => `#${colours[Math.round(at * (colours.length - 1))]}`,
  );
  const strip = make("div", { class: "strip", style: `background: linear-gradient(to right, ${stops.join(", ")})` });
  const ticks = scale.ticks.map(([at, label]) =>
    make("span", { style: `left: ${100 * at}%`, class: at < 0.04 ? "first" : at > 0.96 ? "last" : "" }, label),
  );
  root.replaceChildren(
    strip,
    make("div", { class: "ticks" }, ...ticks),
    make("div", { class: "unit" }, name ?? scale.unit),
  );
}
