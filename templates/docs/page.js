"use strict";
(() => {
  // What a name comes from and leads to lights up while the pointer or the keyboard is on it.
  const graph = document.getElementById("graph");
  const paths = [...graph.querySelectorAll(".edges path")];
  const nodes = new Map([...graph.querySelectorAll(".node")].map((node) => [node.dataset.node, node]));
  const reach = (start, from, to) => {
    const found = new Set([start]);
    const waiting = [start];
    while (waiting.length > 0) {
      const at = waiting.pop();
      for (const path of paths) {
        if (path.dataset[from] === at && !found.has(path.dataset[to])) {
          found.add(path.dataset[to]);
          waiting.push(path.dataset[to]);
        }
      }
    }
    return found;
  };
  const light = (start) => {
    const before = reach(start, "to", "from");
    const behind = reach(start, "from", "to");
    for (const [id, node] of nodes) node.classList.toggle("on", before.has(id) || behind.has(id));
    for (const path of paths) {
      const { from, to } = path.dataset;
      path.classList.toggle("on", (before.has(from) && before.has(to)) || (behind.has(from) && behind.has(to)));
    }
    graph.classList.add("lit");
  };
  const rest = () => graph.classList.remove("lit");
  for (const [id, node] of nodes) {
    node.addEventListener("pointerenter", () => light(id));
    node.addEventListener("pointerleave", rest);
    node.addEventListener("focus", () => light(id));
    node.addEventListener("blur", rest);
  }

  // A word leaves the parts and rows that have it.
  const filter = document.querySelector(".filter");
  const input = document.getElementById("filter");
  const found = document.getElementById("found");
  filter.hidden = false;
  const cards = [...document.querySelectorAll("main .card")];
  const rows = [...document.querySelectorAll("main .card tbody tr, #parameters tbody tr, #checks tbody tr")];
  const plain = (text) => text.toLocaleLowerCase("en");
  const texts = new Map([...cards, ...rows].map((part) => [part, plain(part.textContent)]));
  input.addEventListener("input", () => {
    const word = plain(input.value.trim());
    const has = (part) => word === "" || texts.get(part).includes(word);
    for (const row of rows) {
      const card = row.closest(".card");
      const heading = card ? plain(card.querySelector("h3").textContent) : "";
      row.hidden = !(has(row) || heading.includes(word));
    }
    let count = 0;
    for (const card of cards) {
      card.hidden = !has(card);
      count += card.hidden ? 0 : 1;
      const folds = card.querySelectorAll("details.fold");
      for (const fold of folds) {
        if (word === "") fold.open = false;
        else if ([...fold.querySelectorAll("tbody tr")].some((row) => has(row))) fold.open = true;
      }
    }
    for (const heading of document.querySelectorAll("h3.layer")) {
      let next = heading.nextElementSibling;
      let any = false;
      while (next && next.classList.contains("card")) {
        any = any || !next.hidden;
        next = next.nextElementSibling;
      }
      heading.hidden = !any;
    }
    found.textContent = word === "" ? "" : count === 1 ? "1 part has it" : `${count} parts have it`;
  });
})();
