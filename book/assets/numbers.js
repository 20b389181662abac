// A card beside a number that comes from a run: which metric it is, in full, and a link to the
// place that made it. It opens on hover, on keyboard focus and on a tap; Escape closes it.
(() => {
  const NUMBER = "a.result[data-of]";
  const card = document.createElement("div");
  card.id = card.className = "number-card";
  card.hidden = true;
  const [of, is, link] = ["code", "span", "a"].map((tag) => card.appendChild(document.createElement(tag)));
  link.textContent = "Where it was made";
  link.tabIndex = -1; // the number itself is a link to the same place
  let owner = null;
  let timer = 0;

  const hide = () => {
    clearTimeout(timer);
    card.hidden = true;
    owner?.removeAttribute("aria-describedby");
    owner = null;
  };

  const show = (number) => {
    clearTimeout(timer);
    if (number === owner) return;
    hide();
    owner = number;
    of.textContent = number.dataset.of;
    is.textContent = number.dataset.is;
    link.href = number.href;
    number.setAttribute("aria-describedby", card.id);
    if (!card.isConnected) document.body.append(card);
    card.hidden = false;
    const at = number.getBoundingClientRect();
    const { width, height } = card.getBoundingClientRect();
    const room = document.documentElement.clientWidth - width - 8;
    const above = at.bottom + height + 8 > innerHeight && at.top > height + 8;
    card.style.left = `${Math.max(8, Math.min(at.left, room)) + scrollX}px`;
    card.style.top = `${(above ? at.top - height - 4 : at.bottom + 4) + scrollY}px`;
  };

  const later = (action, wait) => {
    clearTimeout(timer);
    timer = setTimeout(action, wait);
  };

  const numberOf = (event) => event.target.closest?.(NUMBER);

  addEventListener("pointerover", (event) => {
    if (event.pointerType === "touch") return;
    const number = numberOf(event);
    if (number) later(() => show(number), owner ? 0 : 150);
    else if (card.contains(event.target)) clearTimeout(timer);
    else if (!owner) clearTimeout(timer);
    else if (document.activeElement !== owner) later(hide, 250);
  });
  addEventListener("focusin", (event) => {
    const number = numberOf(event);
    if (number) show(number);
    else if (!card.contains(event.target)) hide();
  });
  addEventListener("focusout", (event) => {
    if (!card.contains(event.relatedTarget)) hide();
  });
  addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide();
  });
  // The first tap on a number opens its card, the second one follows the link.
  let first = false;
  addEventListener("pointerdown", (event) => {
    const number = numberOf(event);
    first = event.pointerType === "touch" && number !== owner;
    if (!number && !card.contains(event.target)) hide();
  });
  addEventListener("click", (event) => {
    const number = numberOf(event);
    if (!number || !first) return;
    event.preventDefault();
    show(number);
  });
  // A table that scrolls takes its numbers along.
  addEventListener("scroll", (event) => event.target !== document && hide(), true);
})();
