/**
 * The log-in form.
 */

import { byId, write } from "./dom.js";

export class LoginForm {
  #main = byId("login");
  #form = byId("login-form", HTMLFormElement);
  #username = byId("username-field", HTMLInputElement);
  #password = byId("password", HTMLInputElement);
  #button = byId("login-button", HTMLButtonElement);

  /** @param {(username: string, password: string) => void} onSubmit */
  constructor(onSubmit) {
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      onSubmit(this.#username.value, this.#password.value);
    });
  }

  /** Show the form, with the reason where there is one. */
  show(error = "") {
    this.#main.hidden = false;
    this.setBusy(false);
    write("login-error", error);
    byId("login-error").hidden = error === "";
    this.#password.value = "";
    document.title = "Log in · Nexgent";
    (this.#username.value && error ? this.#password : this.#username).focus();
  }

  /** Hide the form, and forget what was typed. */
  hide() {
    this.#main.hidden = true;
    this.#form.reset();
  }

  /** @param {boolean} busy */
  setBusy(busy) {
    this.#button.disabled = busy;
    this.#button.textContent = busy ? "Logging in…" : "Log in";
  }
}
