// The sandbox EHR's page. It sends the order form to its own server and shows the pieces that come back.
"use strict";

(function () {
  const order = document.getElementById("order");
  const answer = document.getElementById("answer");
  if (!order || !answer) return;
  const here = order.dataset.patient;
  const form = () => document.getElementById("order-form");
  const drafts = () => JSON.parse(form().dataset.drafts);

  async function send(what, body) {
    const response = await fetch(`${here}/${what}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    return response.json();
  }

  function failed() {
    const box = document.createElement("div");
    box.className = "problem";
    box.setAttribute("role", "alert");
    box.textContent = "The sandbox itself does not answer. See whether it still runs.";
    return box.outerHTML;
  }

  // What was changed by hand, by order: the server puts it into the draft orders.
  function edits() {
    const found = {};
    for (const draft of form().querySelectorAll("[data-order]")) {
      const visits = draft.querySelector("[name=visits]");
      const removed = [...draft.querySelectorAll("[name=remove]:checked")].map((box) => box.value);
      found[draft.dataset.order] = { visits: visits ? visits.value : "", remove: removed };
    }
    return found;
  }

  // An update replaces the whole order: a suggestion made for an older order must not undo what came since.
  function markStale() {
    for (const note of answer.querySelectorAll(".stale")) note.hidden = false;
    for (const button of answer.querySelectorAll(".suggestion")) {
      const actions = JSON.parse(button.dataset.suggestion).actions || [];
      if (actions.some((action) => action.type !== "create")) button.disabled = true;
    }
  }

  async function sign() {
    const button = document.getElementById("sign");
    const asking = document.getElementById("asking");
    const body = { drafts: drafts(), edits: edits() };
    button.disabled = true;
    asking.textContent = "Asking…";
    asking.className = "busy";
    answer.setAttribute("aria-busy", "true");
    try {
      const pieces = await send("sign", body);
      if (pieces.form) order.innerHTML = pieces.form;
      answer.innerHTML = pieces.answer;
    } catch {
      answer.innerHTML = failed();
    } finally {
      answer.removeAttribute("aria-busy");
      if (button.isConnected) {
        button.disabled = false;
        asking.textContent = "";
        asking.className = "";
      }
      show(answer.querySelector("h2, .problem"));
    }
  }

  // Whoever signs reads the answer next: by eye, by keyboard, by ear.
  function show(heading) {
    if (!heading) return;
    heading.focus({ preventScroll: true });
    if (heading.getBoundingClientRect().top > window.innerHeight * 0.6) heading.scrollIntoView({ block: "start" });
  }

  async function takeSuggestion(button) {
    const card = button.closest(".card");
    const suggestion = JSON.parse(button.dataset.suggestion);
    for (const other of card.querySelectorAll(".suggestion")) other.disabled = true;
    try {
      const pieces = await send("suggestion", {
        drafts: drafts(),
        suggestion,
        service: card.closest(".answer").dataset.service,
        card: card.dataset.card,
      });
      card.querySelector(".notice").innerHTML = pieces.notice || pieces.answer;
      if (pieces.changed) {
        order.innerHTML = pieces.form;
        markStale();
        order.scrollIntoView({ block: "nearest" });
      }
      if (pieces.notice) card.classList.add("settled");
    } catch {
      card.querySelector(".notice").innerHTML = failed();
    }
  }

  async function override(sheet) {
    const card = sheet.closest(".card");
    const button = sheet.querySelector("button");
    const reason = sheet.elements.reason;
    button.disabled = true;
    try {
      const pieces = await send("override", {
        service: card.closest(".answer").dataset.service,
        card: card.dataset.card,
        reason: reason && reason.value ? JSON.parse(reason.value) : null,
        comment: sheet.elements.comment.value,
      });
      card.querySelector(".notice").innerHTML = pieces.notice || pieces.answer;
      if (!pieces.notice) button.disabled = false;
      else {
        card.classList.add("settled");
        sheet.closest("details").hidden = true;
      }
    } catch {
      card.querySelector(".notice").innerHTML = failed();
      button.disabled = false;
    }
  }

  document.addEventListener("submit", (event) => {
    if (event.target.id !== "order-form" && !event.target.matches(".override-form")) return;
    event.preventDefault();
    if (event.target.id === "order-form") sign();
    else override(event.target);
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest(".suggestion");
    if (button) takeSuggestion(button);
  });
  document.addEventListener("input", (event) => {
    if (event.target.closest("#order-form")) markStale();
  });
})();
