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

  // A word lights the boxes that it stands in, and a box the words that stand in it, by their weights (paper D's b_ij).
  const words = all("button.attribute").map((button) => ({
    button, finding: button.dataset.finding, weights: button.dataset.weights.split(" ").map(Number),
  }));
  const boxes = all(".boxes g").map((group) => ({ group, finding: group.dataset.finding, place: Number(group.dataset.place) }));
  const light = (element, weight, most) => {
    element.classList.toggle("lit", weight !== null);
    element.style.setProperty("--share", weight === null || most === 0 ? 0 : weight / most);
    const label = element.querySelector("text");
    if (!label) return;
    label.dataset.own ??= label.textContent;
    label.textContent = weight === null ? label.dataset.own : `${label.dataset.own} (${weight.toFixed(2)})`;
  };
  const most = (finding) => Math.max(0, ...words.filter((word) => word.finding === finding).flatMap((word) => word.weights));
  words.forEach((word) => {
    const own = boxes.filter((box) => box.finding === word.finding);
    const on = () => own.forEach((box) => light(box.group, word.weights[box.place] ?? 0, most(word.finding)));
    const off = () => own.forEach((box) => light(box.group, null));
    for (const event of ["pointerenter", "focus"]) word.button.addEventListener(event, on);
    for (const event of ["pointerleave", "blur"]) word.button.addEventListener(event, off);
  });
  boxes.forEach((box) => {
    const own = words.filter((word) => word.finding === box.finding);
    box.group.classList.toggle("worded", own.length > 0);
    box.group.addEventListener("pointerenter", () => own.forEach((word) => light(word.button, word.weights[box.place] ?? 0, most(box.finding))));
    box.group.addEventListener("pointerleave", () => own.forEach((word) => light(word.button, null)));
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
