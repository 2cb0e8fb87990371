// Searches and sorts the rows of the atlas. A row has cells, each the text that it shows and what it sorts by.

const find = (id) => document.getElementById(id);
const body = document.querySelector("tbody");
const heads = [...document.querySelectorAll("th")];
let column = null,
  falling = false,
  all = false;

function wanted() {
  const words = find("search").value.trim().toLowerCase().split(/\s+/).filter(Boolean);
  const library = find("library").value;
  return ROWS.filter(
    (row) =>
      words.every((word) => row.search.includes(word)) &&
      (!library || row.libraries.includes(library)) &&
      (!find("lopsided").checked || row.lopsided),
  );
}

// What is not known comes last, in either order.
function compare(a, b) {
  const [x, y] = [a.cells[column][1], b.cells[column][1]];
  if (x === null || y === null) return (x === null) - (y === null);
  const order = typeof x === "string" ? x.localeCompare(y) : x - y;
  return falling ? -order : order;
}

function show() {
  const rows = wanted();
  if (column !== null) rows.sort(compare);
  for (const row of ROWS) row.circle?.classList.toggle("found", rows.length < ROWS.length && rows.includes(row));
  body.replaceChildren(...rows.slice(0, all ? rows.length : FIRST).map(drawn));
  find("count").textContent = `${rows.length} of ${ROWS.length} rows`;
  find("more").hidden = all || rows.length <= FIRST;
  find("more").textContent = `Show all ${rows.length} rows`;
  heads.forEach((head, i) => {
    if (i === column) head.setAttribute("aria-sort", falling ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  });
}

function drawn(row) {
  const line = document.createElement("tr");
  row.cells.forEach(([text], i) => {
    const cell = line.insertCell();
    if (i === 0) cell.append(details(row, text));
    else cell.textContent = text;
    if (i === 1 && row.lopsided) cell.className = "lopsided";
  });
  return line;
}

function details(row, text) {
  const part = document.createElement("details"),
    head = document.createElement("summary");
  head.textContent = text;
  part.append(head);
  for (const said of row.more) {
    const line = document.createElement("div");
    line.append(said[0], " ");
    if (said[1]) line.append(Object.assign(document.createElement("code"), { textContent: said[1] }));
    part.append(line);
  }
  return part;
}

// The plot: a point for each row that has a stride and a rim; a click searches for its network.
const SVG = "http://www.w3.org/2000/svg";
const places = ROWS.filter((row) => row.point);
const across = (stride) => 60 + 75 * (Math.log2(stride) + 5),
  up = (rim) => 230 - 65 * Math.log10(1 + rim);

function drawnIn(name, attributes, text = "") {
  const part = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) part.setAttribute(key, value);
  part.textContent = text;
  return find("plot").appendChild(part);
}

for (const stride of [0.03125, 0.125, 0.5, 1, 2, 4, 8, 16, 32, 64])
  drawnIn("text", { x: across(stride), y: 252, "text-anchor": "middle" }, stride < 1 ? `1/${1 / stride}` : stride);
for (const rim of [0, 3, 10, 30, 100, 300, 1000]) drawnIn("text", { x: 6, y: up(rim) + 4 }, rim);
for (const row of places) {
  const [stride, rim] = row.point,
    told = `${row.cells[0][0]}: rim ${row.cells[1][0]} px, stride ${row.cells[5][0]}`;
  const circle = drawnIn("circle", { cx: across(stride), cy: up(rim), r: 5 });
  circle.addEventListener("pointerenter", () => (find("pointed").textContent = told));
  circle.addEventListener("click", () => {
    find("search").value = row.cells[0][1];
    show();
  });
  row.circle = circle;
}

for (const id of ["search", "library", "lopsided"])
  find(id).addEventListener("input", () => {
    all = false;
    show();
  });
document.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
find("more").addEventListener("click", () => {
  all = true;
  show();
});
for (const button of document.querySelectorAll("th button"))
  button.addEventListener("click", () => {
    const chosen = Number(button.dataset.column);
    falling = chosen === column ? !falling : chosen > 0;
    column = chosen;
    show();
  });
show();
