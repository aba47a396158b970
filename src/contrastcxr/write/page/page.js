"use strict";
(() => {
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const layers = { b: "boxes", a: "attention", c: "contrast" };
  const items = all(".report li[data-sentence]");
  let pinned = null;

  // Attention of the sentence under the pointer or focus; without one, of the pinned sentence.
  const show = (sentence) => {
    const chosen = sentence ?? pinned;
    items.forEach((item) => item.classList.toggle("on", item.dataset.sentence === chosen));
    const active = items.find((item) => item.dataset.sentence === chosen);
    all("[data-said=attention]").forEach((said) => { said.textContent = active?.dataset.attention ?? said.dataset.general; });
    all(".attention image").forEach((map) => { map.toggleAttribute("hidden", map.dataset.sentence !== chosen); });
    all(".boxes g").forEach((box) => {
      const its = box.dataset.sentences.split(" ");
      box.classList.toggle("dim", chosen !== null && !its.includes(chosen));
    });
  };
  const pin = (sentence) => {
    pinned = pinned === sentence ? null : sentence;
    items.forEach((item) => {
      const on = item.dataset.sentence === pinned;
      item.classList.toggle("pinned", on);
      item.querySelector("button").setAttribute("aria-pressed", String(on));
    });
    show(null);
  };
  items.forEach((item, place) => {
    const button = item.querySelector("button");
    item.addEventListener("pointerenter", () => show(item.dataset.sentence));
    item.addEventListener("pointerleave", () => show(null));
    button.addEventListener("focus", () => show(item.dataset.sentence));
    button.addEventListener("blur", () => show(null));
    button.addEventListener("click", () => pin(item.dataset.sentence));
    button.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!step || !items[place + step]) return;
      event.preventDefault();
      items[place + step].querySelector("button").focus();
    });
  });

  const boxesOf = (layer) => all(`.layer.${layer}`);
  const toggle = (input) => {
    boxesOf(input.dataset.layer).forEach((group) => { group.toggleAttribute("hidden", !input.checked); });
    all(`[data-legend="${input.dataset.layer}"]`).forEach((legend) => { legend.hidden = !input.checked; });
  };
  const inputs = all("[data-layer]");
  inputs.forEach((input) => { input.addEventListener("change", () => toggle(input)); toggle(input); });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && pinned !== null) pin(pinned);
    const input = inputs.find((each) => each.dataset.layer === layers[event.key]);
    if (input && !input.disabled) input.click();
  });

  const tabs = all("[role=tab]");
  const select = (tab) => tabs.forEach((each) => {
    const on = each === tab;
    each.setAttribute("aria-selected", String(on));
    each.tabIndex = on ? 0 : -1;
    document.getElementById(each.getAttribute("aria-controls")).dataset.on = on ? "yes" : "no";
  });
  tabs.forEach((tab, place) => {
    tab.addEventListener("click", () => select(tab));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = tabs[(place + step + tabs.length) % tabs.length];
      select(next);
      next.focus();
    });
  });
  if (items.length > 0 && inputs.length > 0) show(null);
})();
