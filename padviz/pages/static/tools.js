// What stands beside the title: the link of the view, its picture, and the keys.

import { drawn } from "./picture.js";
import { write } from "./state.js";

const find = (id) => document.getElementById(id);

// `shown` gives the panels on the screen and what each is titled.
export function tools(book, shown) {
  const keys = find("helping");
  find("help").addEventListener("click", () => keys.showModal());
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input[type=search], input[type=number], select");
    if (event.key !== "?" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    keys.open ? keys.close() : keys.showModal();
  });
  find("copy").addEventListener("click", async () => {
    write();
    said(find("copy"), (await copied(location.href)) ? "copied" : "copy it from the address");
  });
  find("save").addEventListener("click", () => {
    const [panels, titles] = shown();
    if (!panels.length) return said(find("save"), "no map is shown");
    const link = document.createElement("a");
    link.download = `${[book.title, ...titles].join("-").replace(/[^\w.+-]+/g, "-")}.png`;
    link.href = drawn(book.title, panels, titles, book.colours).toDataURL();
    link.click();
  });
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

// Answers on a button for a while.
function said(button, answer) {
  const usual = (button.dataset.usual ??= button.textContent);
  button.textContent = find("live").textContent = answer;
  clearTimeout(said.timer);
  said.timer = setTimeout(() => (button.textContent = usual), 2000);
}
