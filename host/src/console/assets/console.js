// What a page does beyond links and forms: keys, and figures that keep up. Everything works without it.
"use strict";
(() => {
  document.documentElement.classList.add("scripted");
  keys();
  ticks();
  const region = document.querySelector("[data-live]");
  if (region) live(region);

  function keys() {
    const dialog = document.getElementById("keys");
    const show = () => dialog.showModal();
    const typing = (target) => target instanceof Element && target.matches("input:not([type=checkbox], [type=radio]), textarea, select");
    // After `g`, the next key names a section.
    let going = false;

    document.querySelectorAll("[data-opens=keys]").forEach((button) => button.addEventListener("click", show));
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || dialog.open) return;
      if (typing(event.target)) {
        if (event.key === "Escape") event.target.blur();
        return;
      }
      const act = {
        g: () => { going = true; },
        "?": show,
        "/": search,
      };
      const section = going && document.querySelector(`nav a[data-key="${CSS.escape(event.key)}"]`);
      going = false;
      const does = section ? () => section.click() : act[event.key];
      if (does) {
        event.preventDefault();
        does();
      }
    });
  }

  // A button that ticks every box of a name, or none where all are ticked.
  function ticks() {
    document.querySelectorAll("[data-ticks]").forEach((button) =>
      button.addEventListener("click", () => {
        const boxes = [...document.querySelectorAll(`input[type=checkbox][name="${CSS.escape(button.dataset.ticks)}"]`)];
        const tick = !boxes.every((box) => box.checked);
        boxes.forEach((box) => { box.checked = tick; });
      }),
    );
  }

  // To the page's own field, or to where everything is found.
  function search() {
    const field = document.querySelector("[data-search]");
    if (field) field.select();
    else location.assign("/messages");
  }

  function live(region) {
    // The host says at least every ten seconds that it is there: after more silence than that the connection is dead.
    const SILENCE_MS = 25_000;
    const RETRY_MS = 3_000;
    const status = document.getElementById("live");
    const asOf = document.querySelector(".foot time");
    // What the reader opened or closed stays so, whatever the host would open in a page that is new.
    const beforeAttributeUpdated = (name, node) => !(name === "open" && node instanceof HTMLDetailsElement);
    let source;
    let timer;

    function say(state, text) {
      document.documentElement.dataset.live = state;
      status.hidden = false;
      // Said again only if it is news, since it is read out.
      if (status.textContent !== text) status.textContent = text;
    }

    function heard(event) {
      clearTimeout(timer);
      timer = setTimeout(lost, SILENCE_MS);
      asOf.dateTime = event.lastEventId;
      asOf.textContent = `${event.lastEventId.slice(11, 19)}Z`;
      asOf.title = event.lastEventId;
      say("on", "Live");
    }

    function open() {
      close();
      source = new EventSource(region.dataset.live);
      source.addEventListener("page", (event) => {
        Idiomorph.morph(region, event.data, { morphStyle: "innerHTML", ignoreActiveValue: true, callbacks: { beforeAttributeUpdated } });
        heard(event);
      });
      source.addEventListener("alive", heard);
      source.addEventListener("wrong", (event) => {
        heard(event);
        say("stale", event.data);
      });
      source.addEventListener("error", lost);
      timer = setTimeout(lost, SILENCE_MS);
    }

    function close() {
      clearTimeout(timer);
      source?.close();
    }

    async function lost() {
      close();
      say("stale", `Connection lost: figures of ${asOf.textContent}`);
      timer = setTimeout(open, RETRY_MS);
      const answer = await fetch(location.pathname, { method: "HEAD" }).catch(() => null);
      if (answer?.status === 401) {
        clearTimeout(timer);
        say("stale", "Signed out: load this page again");
      } else if (answer?.status === 404) {
        clearTimeout(timer);
        say("stale", `Not there any more: figures of ${asOf.textContent}`);
      }
    }

    // Browsers open few connections to one host: a page nobody looks at lets its own go.
    document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
    if (!document.hidden) open();
  }
})();
