// What a page does beyond links and forms: keys. Everything works without it.
"use strict";
(() => {
  document.documentElement.classList.add("scripted");

  const dialog = document.getElementById("keys");
  document.querySelectorAll("[data-opens=keys]").forEach((button) => button.addEventListener("click", () => dialog.showModal()));

  // A button that ticks every box of a name, or none where all are ticked.
  document.querySelectorAll("[data-ticks]").forEach((button) =>
    button.addEventListener("click", () => {
      const boxes = [...document.querySelectorAll(`input[type=checkbox][name="${CSS.escape(button.dataset.ticks)}"]`)];
      const tick = !boxes.every((box) => box.checked);
      boxes.forEach((box) => (box.checked = tick));
    }),
  );

  // `g` waits for the key of a section this long.
  const CHORD_MS = 1500;
  let chordUntil = 0;

  const typing = (element) => element.matches("input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]");

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || dialog.open) return;
    if (typing(event.target)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (performance.now() < chordUntil) {
      chordUntil = 0;
      const link = document.querySelector(`nav a[data-key="${CSS.escape(event.key)}"]`);
      if (link) {
        event.preventDefault();
        link.click();
      }
      return;
    }
    if (event.key === "g") {
      chordUntil = performance.now() + CHORD_MS;
    } else if (event.key === "?") {
      event.preventDefault();
      dialog.showModal();
    } else if (event.key === "/") {
      const field = document.querySelector("[data-search]");
      event.preventDefault();
      if (field) {
        field.focus();
        field.select();
      } else {
        location.assign("/messages");
      }
    }
  });
})();
