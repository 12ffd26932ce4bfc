// The frame around the phone's pages: fetches them with the token that forms need, and sends forms.
"use strict";
(function () {
  const token = (document.querySelector('meta[name="csrf-token"]') || {}).content || "";
  const main = document.querySelector("main");
  const said = document.getElementById("said");
  let timer = 0, beat = 0;

  function say(text, bad) {
    said.textContent = text;
    said.className = bad ? "shown bad" : "shown";
    clearTimeout(timer);
    timer = setTimeout(() => { said.className = ""; }, 5000);
  }

  function ask(path, options) {
    const headers = Object.assign({ "anti-csrf-token": token }, (options || {}).headers);
    return fetch(path, Object.assign({ credentials: "same-origin" }, options, { headers }));
  }

  const words = {
    CONF_CHANGE: "Saved.", CONF_NO_CHANGE: "Nothing was changed.", SIGNING_OUT: "Signing out.",
    ALREADY_SIGNED_IN: "Somebody is signed in already.", INVALID_INPUT: "That cannot be right.",
    PIN_AUTH_NOT_SUPPORTED: "This phone cannot sign in with a PIN.",
    UPGRADE_NOT_SUPPORTED: "This phone installs no software.",
  };

  async function show(path) {
    clearInterval(beat);
    const answer = await ask(path);
    const text = await answer.text();
    if (answer.status === 403 && text.startsWith("Log in")) { location.reload(); return; }
    if (!answer.ok) { say(text, true); return; }
    main.innerHTML = text;
    document.querySelectorAll("nav a").forEach((a) => a.classList.toggle("here", a.getAttribute("href") === "#" + path));
    const log = main.querySelector("pre.log");
    if (log) { log.textContent = await (await ask(log.dataset.from + "&dummyParam=" + Date.now())).text(); log.scrollTop = log.scrollHeight; }
    const word = main.querySelector("[data-word]");
    if (word) { beat = setInterval(() => tell(word), 2000); tell(word); }
    const screen = main.querySelector("img.screen");
    if (screen) { beat = setInterval(() => { screen.src = "/captureScreen/mainScreen?_=" + Date.now(); }, 3000); }
  }

  async function tell(place) {
    const answer = await ask("/Settings/lyncSignInStatus?_=" + Date.now());
    if (!answer.ok) { return; }
    const word = await answer.text();
    place.textContent = word;
    place.className = "badge " + (word === "SIGNED_IN" ? "good" : word === "PASS_CHANGED" ? "bad" : "");
  }

  async function send(form) {
    const question = form.dataset.sure;
    if (question && !confirm(question)) { return; }
    const body = new URLSearchParams(new FormData(form));
    const answer = await ask(form.getAttribute("action"), { method: "POST", body });
    const text = (await answer.text()).trim();
    say(words[text] || text || form.dataset.done || "Done.", !answer.ok);
    if (answer.ok && form.dataset.then === "reload") { setTimeout(() => location.reload(), 900); }
  }

  document.addEventListener("submit", (event) => {
    event.preventDefault();
    send(event.target).catch(() => say("The phone does not answer.", true));
  });
  async function turn() {
    const path = location.hash.slice(1) || document.body.dataset.first;
    if (path) { show(path).catch(() => say("The phone does not answer.", true)); }
  }
  window.addEventListener("hashchange", turn);
  turn();
})();
