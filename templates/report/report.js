"use strict";
(() => {
  const each = (selector, of, act) => of.querySelectorAll(selector).forEach(act);

  // Sorting: the heads of columns become buttons.
  const said = document.createElement("p");
  said.className = "hidden";
  said.setAttribute("role", "status");
  document.body.append(said);
  const value = (row, column) => {
    const cell = row.cells[column];
    const data = cell.querySelector("data");
    return data ? Number(data.value) : NaN;
  };
  const compare = (column, isNumber) => (left, right) => {
    if (!isNumber) return left.cells[column].textContent.localeCompare(right.cells[column].textContent, undefined, { numeric: true });
    const [a, b] = [value(left, column), value(right, column)];
    return (Number.isNaN(a) ? -Infinity : a) - (Number.isNaN(b) ? -Infinity : b) || 0;
  };
  const sort = (table, head) => {
    const isNumber = head.dataset.sort === "number";
    const was = head.getAttribute("aria-sort");
    const isDown = was ? was === "ascending" : isNumber;
    each("th[aria-sort]", table, (other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", isDown ? "descending" : "ascending");
    const order = compare(head.cellIndex, isNumber);
    const body = table.tBodies[0];
    body.append(...[...body.rows].sort((left, right) => (isDown ? order(right, left) : order(left, right))));
    said.textContent = `Sorted by ${head.textContent}, ${isDown ? "descending" : "ascending"}`;
  };
  each("table.sortable", document, (table) => {
    if (table.tBodies[0].rows.length < 2) return;
    each("th[data-sort]", table, (head) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => sort(table, head));
    });
  });

  // Filtering: rows or cards by the name of their segment.
  each(".filter", document, (filter) => {
    const [input, status] = [filter.querySelector("input"), filter.querySelector("[role=status]")];
    const all = [...document.querySelectorAll(filter.dataset.filter)].filter((row) => row.dataset.name !== undefined);
    filter.hidden = false;
    input.addEventListener("input", () => {
      const wanted = input.value.trim().toLowerCase();
      const shown = all.filter((row) => !(row.hidden = !row.dataset.name.toLowerCase().includes(wanted)));
      if (wanted) shown.forEach((row) => { const set = row.closest("details.set"); if (set) set.open = true; });
      status.textContent = wanted ? `${shown.length} of ${all.length} shown` : "";
    });
  });

  // A link into a folded part opens it.
  const unfold = () => {
    const id = decodeURIComponent(location.hash.slice(1));
    for (let at = id && document.getElementById(id); at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    if (id) document.getElementById(id)?.scrollIntoView();
  };
  addEventListener("hashchange", unfold);
  if (location.hash) unfold();

  // Print shows what is folded.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    folded.forEach((part) => { part.open = true; });
  });
  addEventListener("afterprint", () => folded.forEach((part) => { part.open = false; }));

  // Tips, for the pointer and the keyboard. What they say stands in a table too.
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.setAttribute("role", "tooltip");
  tip.hidden = true;
  document.body.append(tip);
  let hiding = 0;
  let owner = null;
  const hide = () => { tip.hidden = true; owner?.removeAttribute("aria-describedby"); owner = null; };
  const show = (of) => {
    clearTimeout(hiding);
    if (owner === of) return;
    hide();
    owner = of;
    tip.textContent = of.dataset.tip;
    tip.hidden = false;
    of.setAttribute("aria-describedby", "tip");
    place();
  };
  const place = () => {
    if (!owner) return;
    const box = owner.getBoundingClientRect();
    const [left, top] = [(box.left + box.right - tip.offsetWidth) / 2, box.top - tip.offsetHeight - 6];
    tip.style.left = `${Math.max(8, Math.min(left, innerWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${Math.max(8, top < 8 ? Math.min(box.bottom + 6, innerHeight - tip.offsetHeight - 8) : top)}px`;
  };
  const later = () => { clearTimeout(hiding); hiding = setTimeout(hide, 200); };
  each("[data-tip]", document, (of) => {
    each(":scope > title", of, (title) => title.remove());
    if (of.namespaceURI.endsWith("svg")) { of.setAttribute("role", "img"); of.setAttribute("aria-label", of.dataset.tip); }
    of.tabIndex = 0;
    of.addEventListener("pointerenter", () => show(of));
    of.addEventListener("focus", () => show(of));
    of.addEventListener("pointerleave", later);
    of.addEventListener("blur", later);
  });
  tip.addEventListener("pointerenter", () => clearTimeout(hiding));
  tip.addEventListener("pointerleave", later);
  addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  addEventListener("scroll", place, { passive: true, capture: true });
})();
