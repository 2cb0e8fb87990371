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
