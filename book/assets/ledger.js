// Filter the ledger by paper, verdict and evidence. Without this script the page shows every claim.
// The address holds the filter, so that it can be shared, and is there again after Back.
(() => {
  const form = document.querySelector(".ledger-filter");
  const claims = [...document.querySelectorAll("div.admonition.claim")];
  if (!form) return;

  const fields = ["paper", "verdict", "evidence"];

  const apply = () => {
    let shown = 0;
    for (const claim of claims) {
      claim.hidden = !fields.every((name) => {
        const { value } = form.elements[name];
        return !value || claim.classList.contains(`${name}-${value}`);
      });
      shown += !claim.hidden;
    }
    form.querySelector("output").textContent = `${shown} of ${claims.length} claims`;
    const chosen = fields.filter((name) => form.elements[name].value);
    const query = new URLSearchParams(chosen.map((name) => [name, form.elements[name].value]));
    history.replaceState(null, "", `${location.pathname}${chosen.length ? `?${query}` : ""}${location.hash}`);
  };

  // What the address asks for, if the form has it.
  const restore = () => {
    const asked = new URLSearchParams(location.search);
    for (const name of fields) {
      const value = asked.get(name) ?? "";
      const known = [...form.elements[name]].map((button) => button.value);
      form.elements[name].value = known.includes(value) ? value : "";
    }
    apply();
  };

  // A link to a claim shows it, whatever the filter says.
  const reveal = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target?.matches(".claim[hidden], .claim[hidden] *")) return;
    form.reset();
    apply();
    target.scrollIntoView();
  };

  form.addEventListener("change", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", reveal);
  // A browser puts its own memory of the form back before this, and may keep the whole page.
  addEventListener("pageshow", () => {
    restore();
    reveal();
  });
  form.hidden = false;
  restore();
})();
