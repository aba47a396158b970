"use strict";
(() => {
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const layers = { b: "boxes", r: "regions", m: "maps", a: "attention", c: "contrast", d: "difference" };
  const items = all("li[data-sentence], li[data-finding]");
  let pinned = null;

  // What belongs to the sentence or finding under the pointer or focus; without one, to the pinned one.
  const show = (item) => {
    const chosen = item ?? pinned;
    const { sentence, finding } = chosen?.dataset ?? {};
    const owns = (box) => finding === undefined
      ? box.dataset.sentences.split(" ").includes(sentence)
      : box.dataset.finding === finding;
    items.forEach((each) => each.classList.toggle("on", each === chosen));
    all("[data-said]").forEach((said) => { said.textContent = chosen?.dataset[said.dataset.said] ?? said.dataset.general; });
    all(".attention image").forEach((map) => { map.toggleAttribute("hidden", map.dataset.sentence !== sentence); });
    all(".maps image, .regions g").forEach((mark) => { mark.toggleAttribute("hidden", mark.dataset.finding !== finding); });
    all(".boxes g").forEach((box) => { box.classList.toggle("dim", chosen !== null && !owns(box)); });
  };
  const pin = (item) => {
    pinned = pinned === item ? null : item;
    items.forEach((each) => {
      const on = each === pinned;
      each.classList.toggle("pinned", on);
      each.querySelector("button").setAttribute("aria-pressed", String(on));
    });
    show(null);
  };
  const neighbour = (item, step) => {
    const kind = "sentence" in item.dataset ? "sentence" : "finding";
    const same = items.filter((each) => kind in each.dataset);
    return same[same.indexOf(item) + step];
  };
  items.forEach((item) => {
    const button = item.querySelector("button");
    item.addEventListener("pointerenter", () => show(item));
    item.addEventListener("pointerleave", () => show(null));
    button.addEventListener("focus", () => show(item));
    button.addEventListener("blur", () => show(null));
    button.addEventListener("click", () => pin(item));
    button.addEventListener("keydown", (event) => {
      const next = neighbour(item, { ArrowDown: 1, ArrowUp: -1 }[event.key]);
      if (!next) return;
      event.preventDefault();
      next.querySelector("button").focus();
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
