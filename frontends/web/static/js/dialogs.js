// Pages of the gateway as dialogs. Every dialog is a page of its own, which works without this script too.

import { change } from "./gateway.js";

const dialog = document.getElementById("dialog");
const content = document.getElementById("dialog-content");
let asked = 0;

dialog.addEventListener("close", () => content.replaceChildren());
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

export function closeDialog() {
  if (dialog.open) dialog.close();
}

// Show `node` in the dialog.
export function show(node, broad = false) {
  dialog.classList.toggle("broad", broad);
  content.replaceChildren(node);
  dialog.setAttribute("aria-label", content.querySelector("h1")?.textContent ?? "Details");
  if (!dialog.open) dialog.showModal();
  (content.querySelector("[autofocus]") ?? content.querySelector("input:not([type=hidden]), a, button"))?.focus();
  content.querySelector("input[autofocus]")?.select();
  return content.firstElementChild;
}

// Fetch a page of the gateway and show its panel. Resolves to the panel, or undefined when another was asked for meanwhile.
export async function showPage(url, broad = false) {
  const mine = ++asked;
  try {
    const answer = await fetch(url, { headers: { Accept: "text/html" }, cache: "no-store" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (mine !== asked) return undefined;
    const panel = page.querySelector(".panel") ?? page.querySelector("main");
    if (!panel) throw new Error();
    makeAbsolute(panel, answer.url);
    panel.querySelector(".out-of-dialog")?.remove();
    return show(document.importNode(panel, true), broad);
  } catch {
    toast("The gateway does not answer. Is it still running?");
    return undefined;
  }
}

// The addresses in a page are relative to itself, and are about to be elsewhere.
function makeAbsolute(panel, base) {
  for (const [selector, attribute] of [["[href]", "href"], ["[src]", "src"], ["form[action]", "action"]]) {
    for (const element of panel.querySelectorAll(selector)) {
      const value = element.getAttribute(attribute);
      if (!value.startsWith("#")) element.setAttribute(attribute, new URL(value, base).href);
    }
  }
}

// Forms that would come back to where they are: sent without leaving the page.
content.addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.elements.when_done?.value !== "." || form.enctype === "multipart/form-data") return;
  event.preventDefault();
  const fields = new FormData(form, event.submitter);
  fields.delete("when_done");
  const button = event.submitter ?? form.querySelector("button");
  button.disabled = true;
  try {
    const instead = new CustomEvent("lafs:submit", { detail: { form, fields, done: null }, cancelable: true });
    if (document.dispatchEvent(instead)) await change(form.action, fields);
    else await instead.detail.done;
    closeDialog();
    document.dispatchEvent(new CustomEvent("lafs:changed"));
  } catch (error) {
    complain(form, error.message);
    button.disabled = false;
  }
});

function complain(form, text) {
  let notice = form.querySelector(".notice[role=alert]");
  if (!notice) {
    notice = document.createElement("p");
    notice.className = "notice";
    notice.setAttribute("role", "alert");
    form.append(notice);
  }
  notice.textContent = text;
}

let fading;

// A line at the bottom, for a while.
export function toast(text) {
  const line = document.getElementById("toast");
  line.textContent = text;
  line.hidden = false;
  clearTimeout(fading);
  fading = setTimeout(() => { line.hidden = true; }, 5000);
}
