// A page on which a file is dropped: it goes to the server of this computer, which answers with the page of its network.

const drop = document.getElementById("drop"),
  file = document.getElementById("file"),
  said = document.getElementById("said");

async function send(chosen) {
  if (!chosen) return;
  if (chosen.size > Number(drop.dataset.most)) {
    said.textContent = `${chosen.name}: is too large; use padviz explore ${chosen.name}`;
    return;
  }
  said.textContent = `reading ${chosen.name} …`;
  try {
    const answer = await fetch(`file?name=${encodeURIComponent(chosen.name)}`, { method: "POST", body: chosen }),
      text = await answer.text();
    said.textContent = answer.status === 201 ? "" : text;
    if (answer.status === 201) location.href = text;
  } catch {
    said.textContent = "padviz does not answer; start it again: padviz explore --serve";
  }
  file.value = "";
}

file.addEventListener("change", () => send(file.files[0]));
for (const name of ["dragenter", "dragover", "dragleave", "drop"])
  addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", name === "dragenter" || name === "dragover");
    if (name === "drop") send(event.dataTransfer.files[0]);
  });
