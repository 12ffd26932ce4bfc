// The login form: name and password go along as HTTP Basic; the phone answers with a session.
"use strict";
(function () {
  const form = document.querySelector("form");
  const wrong = document.querySelector(".wrong");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    wrong.textContent = "";
    const octets = new TextEncoder().encode(form.elements.account.value + ":" + form.elements.password.value);
    const basic = btoa(String.fromCharCode(...octets));
    try {
      const answer = await fetch("/form-submit/auth.htm", { method: "POST", headers: { Authorization: "Basic " + basic }, credentials: "same-origin" });
      const text = await answer.text();
      if (answer.ok && !text.includes("INVALID_LOGIN")) { location.assign("/index.htm"); return; }
      const left = answer.headers.get("Retry-After");
      wrong.textContent = left ? "Too many wrong passwords. Try again in " + left + " seconds." : "The password is wrong.";
    } catch (error) {
      wrong.textContent = "The phone does not answer.";
    }
  });
})();
