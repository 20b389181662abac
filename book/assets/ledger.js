// Filter the ledger by paper and verdict. Without this script the page shows every claim.
(() => {
  const form = document.querySelector(".ledger-filter");
  const claims = [...document.querySelectorAll("div.admonition.claim")];
  if (!form) return;

  const apply = () => {
    const { paper, verdict } = form.elements;
    let shown = 0;
    for (const claim of claims) {
      const has = (kind, value) => !value || claim.classList.contains(`${kind}-${value}`);
      claim.hidden = !(has("paper", paper.value) && has("verdict", verdict.value));
      shown += !claim.hidden;
    }
    form.querySelector("output").textContent = `${shown} of ${claims.length} claims`;
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
  form.hidden = false;
  apply();
})();
