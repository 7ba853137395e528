// What every page has: the theme's switch, dialogs, menus that close, buttons that copy, moments in the reader's own time.

import { showPage, closeDialog } from "./dialogs.js";
import { moment } from "./words.js";

const dark = matchMedia("(prefers-color-scheme: dark)");

document.getElementById("theme")?.addEventListener("click", () => {
  const root = document.documentElement;
  const now = root.dataset.theme ?? (dark.matches ? "dark" : "light");
  const next = now === "dark" ? "light" : "dark";
  root.dataset.theme = next;
  try { localStorage.setItem("theme", next); } catch { /* only this page then */ }
});

document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target) || event.target.closest(".items a, .items button")) menu.open = false;
  }
  if (event.target.closest("[data-close]")) {
    event.preventDefault();
    closeDialog();
    return;
  }
  const link = event.target.closest("a[data-dialog]");
  if (link && !event.defaultPrevented && event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    showPage(link.href, link.dataset.dialog === "broad");
  }
  const copy = event.target.closest("[data-copy]");
  if (copy) copyText(copy);
});

// A menu near the lower edge opens upward.
document.addEventListener("toggle", (event) => {
  const menu = event.target;
  if (!(menu instanceof HTMLDetailsElement) || !menu.open || !menu.matches(".menu")) return;
  for (const other of document.querySelectorAll("details.menu[open]")) if (other !== menu) other.open = false;
  menu.classList.remove("upward");
  const items = menu.querySelector(".items").getBoundingClientRect();
  menu.classList.toggle("upward", items.bottom > innerHeight && items.top - items.height > 60);
}, true);

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const menu = document.querySelector("details.menu[open]");
  if (menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

async function copyText(button) {
  const code = document.getElementById(button.dataset.copy);
  const label = button.lastChild;
  try {
    await navigator.clipboard.writeText(code.textContent);
    label.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(code);
    label.textContent = "Press Ctrl-C";
  }
  setTimeout(() => { label.textContent = "Copy"; }, 2500);
}

for (const time of document.querySelectorAll("time[datetime]")) {
  time.textContent = moment(Date.parse(time.dateTime) / 1000);
}
