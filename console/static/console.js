"use strict";
// Pages work without this script. It keeps what is shown true while somebody looks at it, and ticks boxes together.

for (const part of document.querySelectorAll("[data-live]")) {
  const source = new EventSource(part.dataset.live);
  let waiting = null;
  const show = () => {
    // Whoever reads or types here with the keyboard is not interrupted.
    if (waiting === null || part.contains(document.activeElement)) return;
    const opened = [...part.querySelectorAll("details[open][id]")].map((it) => it.id);
    part.innerHTML = waiting;
    for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
    waiting = null;
  };
  source.addEventListener("part", (event) => { waiting = event.data; show(); });
  source.addEventListener("over", () => source.close());
  part.addEventListener("focusout", () => setTimeout(show, 0));
  window.addEventListener("pagehide", () => source.close());
}

for (const all of document.querySelectorAll("[data-all]")) {
  const boxes = () => document.querySelectorAll(`input[name="${all.dataset.all}"]`);
  all.closest("[hidden]")?.removeAttribute("hidden");
  all.addEventListener("change", () => boxes().forEach((box) => { box.checked = all.checked; }));
}
