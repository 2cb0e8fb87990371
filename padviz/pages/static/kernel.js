// The one-layer illustration: a lettered image, how often each pixel is used, and the windows that use one, in turn.

import { make } from "./paint.js";
import { set, state } from "./state.js";
import { Illustration, illustrated } from "./window.js";

const EVERY = 900; // milliseconds of a window

export class Kernel {
  constructor({ windows, colours }) {
    this.asked = windows;
    this.colours = colours.share;
    this.root = document.getElementById("part-kernel");
    for (const name of ["padded", "uses", "taps", "window", "play", "back", "next", "cannot", "picked"])
      this[name] = this.root.querySelector(`[data-part="${name}"]`);
    this.root.dataset.size = this.asked.size;
    this.root.illustrated = (...asked) => illustrated(windows, ...asked); // for the test that holds it against the engine
    this.play.addEventListener("click", () => this.toggle());
    this.back.addEventListener("click", () => this.step(-1));
    this.next.addEventListener("click", () => this.step(1));
    for (const select of this.root.querySelectorAll("select"))
      select.addEventListener("change", () =>
        set({ [select.name]: select.name === "kscheme" ? select.value : Number(select.value), kwindow: 0 }),
      );
    this.uses.addEventListener("keydown", (event) => this.press(event));
    matchMedia("(prefers-reduced-motion: reduce)").addEventListener("change", () => this.stop());
  }

  get pixel() {
    return state.kpixel.map((at) => Math.min(Math.max(Math.floor(at), 0), this.asked.size - 1));
  }

  draw() {
    for (const select of this.root.querySelectorAll("select")) select.value = state[select.name];
    let shown = null;
    try {
      shown = new Illustration(this.asked, state.kernel, state.stride, state.dilation, state.kscheme);
      this.cannot.textContent = "";
    } catch (error) {
      this.cannot.textContent = `${error.message}; choose a smaller kernel or dilation.`;
      this.stop();
    }
    this.root.classList.toggle("cannot", !shown);
    if (!shown) return;
    const [row, col] = this.pixel,
      windows = shown.windows(row, col);
    this.windows = windows;
    const at = windows.length ? ((state.kwindow % windows.length) + windows.length) % windows.length : 0;
    this.image(shown, windows[at], row, col);
    this.grid(shown, row, col);
    this.kernel(shown, windows[at], row, col);
    this.window.textContent = windows.length
      ? `Window ${at + 1} of ${windows.length}: unit ${windows[at].unit.join(", ")}, which reads the pixel with ${windows[at].rows.length * windows[at].cols.length} of its cells.`
      : "No window uses this pixel.";
    for (const button of [this.play, this.back, this.next]) button.disabled = windows.length < 2;
    this.picked.textContent = `Pixel ${row}, ${col} is used ${shown.uses[row][col]} times.`;
  }

  // The padded image, with the window and the copies of the pixel that it reads.
  image(shown, window, row, col) {
    const { before, dilation, kernel } = shown.axis,
      letter = shown.padded[row + before][col + before];
    const within = (at, first) =>
      window && at >= first && at <= first + dilation * (kernel - 1) && (at - first) % dilation === 0;
    this.padded.classList.toggle("many", shown.padded.length > 13);
    this.padded.classList.toggle("most", shown.padded.length > 21);
    this.padded.replaceChildren(
      make(
        "tbody",
        {},
        ...shown.padded.map((line, y) =>
          make(
            "tr",
            {},
            ...line.map((text, x) => {
              const real = y >= before && y < before + this.asked.size && x >= before && x < before + this.asked.size,
                inWindow = within(y, window?.at[0]) && within(x, window?.at[1]);
              const names = [real ? "real" : "pad", text === letter ? "same" : "", inWindow ? "in" : ""];
              return make("td", { class: names.filter(Boolean).join(" ") }, text);
            }),
          ),
        ),
      ),
    );
  }

  // How often each pixel is used: each is a button that picks it.
  grid(shown, row, col) {
    const focused = this.uses.contains(document.activeElement);
    this.uses.replaceChildren(
      make(
        "tbody",
        {},
        ...shown.uses.map((line, y) =>
          make(
            "tr",
            {},
            ...line.map((count, x) => {
              const on = y === row && x === col,
                letter = shown.padded[y + shown.axis.before][x + shown.axis.before];
              const button = make(
                "button",
                {
                  tabindex: on ? 0 : -1,
                  "aria-pressed": on,
                  "aria-label": `pixel ${y}, ${x}, ${letter}: used ${count} times`,
                },
                String(count),
              );
              button.addEventListener("click", () => set({ kpixel: [y, x], kwindow: 0 }));
              const share = count.number / (shown.due(y) * shown.due(x));
              return make("td", { style: this.shade(share) }, button);
            }),
          ),
        ),
      ),
    );
    if (focused) this.uses.querySelector('[aria-pressed="true"]').focus();
  }

  // The colour of a fair share, as maps have it.
  shade(share) {
    const at = Math.round(Math.min(share / 2 || 0, 1) * (this.colours.length - 1)),
      dark = Math.abs(at / (this.colours.length - 1) - 0.5) > 0.28;
    return `--share: #${this.colours[at]}; --on: ${dark ? "#fff" : "#000"}`;
  }

  // How often each cell of the kernel reads the pixel, and which do in this window.
  kernel(shown, window, row, col) {
    this.taps.replaceChildren(
      make(
        "tbody",
        {},
        ...shown.taps(row, col).map((line, y) =>
          make(
            "tr",
            {},
            ...line.map((reads, x) => {
              const now = window?.rows.includes(y) && window.cols.includes(x);
              return make("td", { class: now ? "in" : reads.number ? "some" : "" }, String(reads));
            }),
          ),
        ),
      ),
    );
  }

  press(event) {
    const [row, col] = this.pixel;
    const next = {
      ArrowUp: [row - 1, col],
      ArrowDown: [row + 1, col],
      ArrowLeft: [row, col - 1],
      ArrowRight: [row, col + 1],
      Home: [row, 0],
      End: [row, this.asked.size - 1],
    }[event.key];
    if (!next) return;
    event.preventDefault();
    set({ kpixel: next.map((at) => Math.min(Math.max(at, 0), this.asked.size - 1)), kwindow: 0 }, true);
  }

  step(by) {
    this.stop();
    set({ kwindow: state.kwindow + by }, true);
  }

  // Plays the windows in turn; who asked for less motion goes on by hand.
  toggle() {
    if (this.playing) return this.stop();
    this.playing = setInterval(
      () =>
        state.part === "kernel" && this.windows.length > 1 ? set({ kwindow: state.kwindow + 1 }, true) : this.stop(),
      EVERY,
    );
    this.play.textContent = "pause";
  }

  stop() {
    clearInterval(this.playing);
    this.playing = null;
    this.play.textContent = "play";
  }
}
