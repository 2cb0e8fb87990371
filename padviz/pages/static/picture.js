// The maps that are shown, as a picture: each with its title, its colours, and what they stand for.

import { make } from "./paint.js";

const [GAP, HEAD, FOOT] = [24, 74, 58]; // units of a font of 15

// Draws maps side by side on white paper.
export function drawn(title, panels, titles, colours) {
  const unit = panels[0].sharp,
    wide = panels.map(({ picture }) => picture.width),
    tall = Math.max(...panels.map(({ picture }) => picture.height));
  const canvas = make("canvas", {
    width: wide.reduce((a, b) => a + b, 0) + (panels.length + 1) * GAP * unit,
    height: tall + (HEAD + FOOT) * unit,
  });
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = "#1d1d24";
  const write = (text, x, y, size = 12, most = undefined) => {
    context.font = `${size * unit}px system-ui, sans-serif`;
    context.fillText(text, x, y * unit, most);
  };
  write(title, GAP * unit, 32, 17, canvas.width - 2 * GAP * unit);
  let x = GAP * unit;
  panels.forEach((panel, i) => {
    write(titles[i], x, 60, 13, wide[i]);
    context.drawImage(panel.picture, x, HEAD * unit);
    scale(context, panel, colours[panel.scale.kind], x, HEAD * unit + panel.picture.height + 10 * unit, unit, write);
    x += wide[i] + GAP * unit;
  });
  return canvas;
}

function scale(context, { picture, scale: { ticks, unit: name } }, colours, x, y, unit, write) {
  const long = 0.8 * picture.width,
    ink = context.fillStyle,
    strip = context.createLinearGradient(x, 0, x + long, 0);
  colours.forEach((colour, at) => strip.addColorStop(at / (colours.length - 1), `#${colour}`));
  context.fillStyle = strip;
  context.fillRect(x, y, long, 10 * unit);
  context.fillStyle = ink;
  for (const [at, label] of ticks) {
    context.textAlign = at < 0.04 ? "left" : at > 0.96 ? "right" : "center";
    write(label, x + at * long, y / unit + 24, 11);
  }
  context.textAlign = "left";
  write(name, x + long + 8 * unit, y / unit + 10, 11, picture.width - long - 8 * unit);
}
