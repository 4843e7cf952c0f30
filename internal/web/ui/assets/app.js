// Small conveniences. Every page works without this file.
"use strict";

(() => {
  const say = (text) => {
    const at = document.getElementById("live-lost");
    if (at && at.textContent !== text) at.textContent = text;
  };

  // The stream tells when the page is not what it was: gone, or no longer ours.
  document.addEventListener("reload", () => location.reload());
  document.addEventListener("htmx:sse:after:connection", () => say(""));
  document.addEventListener("htmx:sse:error", (e) => {
    if (e.detail && (e.detail.status === 401 || e.detail.status === 403)) location.reload();
    else say("Connection to the panel lost. Trying again; what you see may be old.");
  });

  // A form is sent once.
  document.addEventListener("submit", (e) => {
    if (e.defaultPrevented) return;
    const form = e.target;
    if (form.dataset.sent) {
      e.preventDefault();
      return;
    }
    form.dataset.sent = "1";
    for (const b of form.querySelectorAll("button[type=submit]")) b.setAttribute("aria-busy", "true");
  });
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) {
      delete form.dataset.sent;
      for (const b of form.querySelectorAll("button[aria-busy]")) b.removeAttribute("aria-busy");
    }
  });

  // After a form was refused, begin at the field that is wrong.
  const wrong = document.querySelector("[aria-invalid=true]");
  if (wrong) wrong.focus();

  // A log that grows stays at its end, unless somebody reads further up, and does not grow for ever.
  for (const log of document.querySelectorAll("[data-follow]")) {
    let end = true;
    const down = () => { if (end) log.scrollTop = log.scrollHeight; };
    log.addEventListener("scroll", () => { end = log.scrollHeight - log.scrollTop - log.clientHeight < 24; });
    new MutationObserver(() => {
      while (log.childElementCount > 3000) log.firstElementChild.remove();
      down();
    }).observe(log, { childList: true });
    down();
  }

  // Buttons that copy the text of another element.
  document.addEventListener("click", async (e) => {
    const button = e.target.closest("[data-copy]");
    if (!button || !navigator.clipboard) return;
    const from = document.getElementById(button.dataset.copy);
    if (!from) return;
    await navigator.clipboard.writeText(from.value ?? from.textContent);
    const was = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = was; }, 1500);
  });
})();
