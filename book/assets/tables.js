// Long tables: a few rows are open, a button shows the others. On paper all are.
(() => {
  const tables = document.querySelectorAll(".bd-article table.table:not(.ledger-summary, .autosummary)");
  for (const table of tables) {
    if (table.closest("details, .ledger-filter")) continue;
    const rows = [...(table.tBodies[0]?.rows ?? [])];
    let open = Number((table.className.match(/\bopen-(\d+)/) ?? [, 8])[1]);
    const heads = (row) => row.cells.length > 1 && [...row.cells].slice(1).every((cell) => !cell.textContent.trim());
    if (open > 1 && open < rows.length && heads(rows[open - 1])) open -= 1; // it heads what is folded
    const rest = rows.slice(open);
    if (!rest.length) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "table-rest";
    const show = (all) => {
      for (const row of rest) row.hidden = !all;
      button.setAttribute("aria-expanded", String(all));
      button.textContent = all ? "Show fewer rows" : `Show ${rest.length} more row${rest.length > 1 ? "s" : ""}`;
    };
    button.addEventListener("click", () => show(button.getAttribute("aria-expanded") !== "true"));
    show(rest.some((row) => location.hash && row.querySelector(`[id="${CSS.escape(location.hash.slice(1))}"]`)));
    (table.closest(".pst-scrollable-table-container") ?? table).after(button);
  }
})();
