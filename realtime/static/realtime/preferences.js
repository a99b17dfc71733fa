/**
 * What this browser remembers of how its user likes the page. Nothing secret, and nothing that must be kept.
 */

const PREFIX = "nexgent.";

export function recall(name, fallback = null) {
  try {
    return localStorage.getItem(PREFIX + name) ?? fallback;
  } catch {
    return fallback; // storage is off
  }
}

export function remember(name, value) {
  try {
    if (value === null || value === "") localStorage.removeItem(PREFIX + name);
    else localStorage.setItem(PREFIX + name, value);
  } catch {
    // storage is off or full: forgotten with the page
  }
}

/** Wire the choice of currency and theme, in the header. `onCurrency` hears of "sol" or "usd". */
export function wireHeader(onCurrency) {
  const show = (currency) => {
    document.body.dataset.currency = currency;
    onCurrency(currency);
  };
  const currency = recall("currency") === "usd" ? "usd" : "sol";
  for (const choice of document.querySelectorAll("[name=currency]")) {
    choice.checked = choice.value === currency;
    choice.addEventListener("change", () => {
      remember("currency", choice.value);
      show(choice.value);
    });
  }
  show(currency);
  const theme = document.getElementById("theme");
  theme.value = recall("theme", "");
  theme.addEventListener("change", () => {
    remember("theme", theme.value);
    if (theme.value) document.documentElement.dataset.theme = theme.value;
    else delete document.documentElement.dataset.theme;
  });
}
