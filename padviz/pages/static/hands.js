// What pointers and keys do on a map: a pointer shows, a click pins, the wheel and two fingers zoom, dragging moves.

import { set, state } from "./state.js";

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

export function listening(panel) {
  const { over } = panel,
    hands = new Hands(panel);
  const on = (name, act, options) => over.addEventListener(name, (event) => panel.map && act(event), options);
  on("pointerdown", (event) => hands.down(event));
  on("pointermove", (event) => hands.move(event));
  for (const name of ["pointerup", "pointercancel"]) on(name, (event) => hands.up(event, name === "pointerup"));
  on("pointerleave", () => set({ hover: null }));
  on("wheel", (event) => hands.wheel(event), { passive: false });
  on("keydown", (event) => !event.ctrlKey && !event.metaKey && !event.altKey && press(panel, event));
}

class Hands {
  constructor(panel) {
    Object.assign(this, { panel, fingers: new Map(), from: null });
  }

  // Where a pointer is, as shares of the picture.
  at(event) {
    const box = this.panel.over.getBoundingClientRect();
    return [(event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width];
  }

  down(event) {
    const { fingers } = this,
      at = this.at(event);
    this.panel.over.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, at);
    const moved = fingers.size > 1;
    this.from = { at, x: event.clientX, y: event.clientY, zoom: [...state.zoom], moved, gap: gap(fingers) };
    this.show(at);
  }

  move(event) {
    const { fingers, from, panel } = this,
      at = this.at(event);
    if (!fingers.has(event.pointerId)) return event.pointerType === "mouse" && this.show(at);
    fingers.set(event.pointerId, at);
    if (fingers.size > 1)
      return panel.zoomTo((from.zoom[0] * gap(fingers)) / (from.gap || 1), middle(fingers), from.zoom);
    from.moved ||= Math.hypot(event.clientX - from.x, event.clientY - from.y) > EDGE;
    if (!from.moved) return;
    const [times, y, x] = from.zoom;
    if (times > 1) panel.look([times, y - (at[0] - from.at[0]) / times, x - (at[1] - from.at[1]) / times]);
    else this.show(at);
  }

  // A pointer that did not move pins the pixel under it.
  up(event, clicked) {
    const { fingers, from, panel } = this,
      alone = fingers.size === 1;
    fingers.delete(event.pointerId);
    if (clicked && alone && from && !from.moved && event.button === 0) set({ at: panel.placeAt(this.at(event)) });
    if (event.pointerType !== "mouse") set({ hover: null });
    if (fingers.size) Object.assign(from, { zoom: [...state.zoom], at: [...fingers.values()][0], moved: true });
  }

  wheel(event) {
    if (state.zoom[0] <= 1 && event.deltaY > 0) return;
    event.preventDefault();
    this.panel.zoomTo(state.zoom[0] * Math.exp(-event.deltaY * 0.002), this.at(event), state.zoom);
  }

  show(at) {
    set({ hover: this.panel.placeAt(at) });
  }
}

function press(panel, event) {
  const { map } = panel,
    next = hop(event, panel.pixel(state.at), [map.height, map.width]);
  const zoomed = { "+": 1.5, "=": 1.5, "-": 1 / 1.5, _: 1 / 1.5 }[event.key];
  if (next) {
    set({ at: panel.middle(...next), hover: null }, true);
    panel.keepSeen();
  } else if (zoomed) panel.zoomTo(state.zoom[0] * zoomed, panel.placeOf(), state.zoom);
  else if (event.key === "0" || event.key === "Escape") panel.look([1, 0.5, 0.5]);
  else if (event.key === "Enter" || event.key === " ") panel.follow();
  else return;
  event.preventDefault();
}

function gap(fingers) {
  const [first, second] = [...fingers.values()];
  return second ? Math.hypot(first[0] - second[0], first[1] - second[1]) : 0;
}

function middle(fingers) {
  const [first, second] = [...fingers.values()];
  return [(first[0] + second[0]) / 2, (first[1] + second[1]) / 2];
}
