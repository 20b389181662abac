// Filter the ledger, open the claim that the address names, copy links to claims. Without this
// script the page shows every claim. The address holds the filter, so that it can be shared, and is
// there again after Back.
(() => {
  const form = document.querySelector(".ledger-filter");
  const claims = [...document.querySelectorAll("details.claim")];
  if (!form) return;

  const fields = [...form.querySelectorAll("select")];

  const apply = () => {
    let shown = 0;
    for (const claim of claims) {
      claim.hidden = !fields.every(({ name, value }) => !value || claim.classList.contains(`${name}-${value}`));
      shown += !claim.hidden;
    }
    for (const part of document.querySelectorAll("section.claims")) {
      part.hidden = !part.querySelector("details.claim:not([hidden])");
    }
    form.querySelector("output").textContent = `${shown} of ${claims.length} claims`;
    const query = new URLSearchParams(fields.filter(({ value }) => value).map(({ name, value }) => [name, value]));
    history.replaceState(null, "", `${location.pathname}${query.size ? `?${query}` : ""}${location.hash}`);
  };

  // What the address asks for, if the form has it.
  const restore = () => {
    const asked = new URLSearchParams(location.search);
    for (const field of fields) {
      field.value = asked.get(field.name) ?? "";
      if (field.selectedIndex < 0) field.value = "";
    }
    apply();
  };

  // A link to a claim shows and opens it, whatever the filter says.
  const reveal = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const claim = target?.closest("details.claim");
    if (!claim) return;
    if (claim.hidden) {
      form.reset();
      apply();
    }
    claim.open = true;
    claim.scrollIntoView();
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

  for (const button of document.querySelectorAll("button[data-claim]")) {
    button.hidden = !window.ClipboardJS;
  }
  // The library that copies code, which the theme loads on every page.
  const copier = window.ClipboardJS && new ClipboardJS("button[data-claim]", {
    text: (button) => `${location.href.split(/[?#]/)[0]}#claim-${button.dataset.claim}`,
  });
  copier?.on("success", ({ trigger }) => {
    trigger.textContent = "Copied";
    setTimeout(() => (trigger.textContent = "Copy link"), 1500);
  });
})();
