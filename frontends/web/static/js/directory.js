// The page of a directory, alive: sorting, searching, selecting, changing, and storing what is dropped on it.

import { showPage, show, toast, closeDialog } from "./dialogs.js";
import { change, eachOf, json } from "./gateway.js";
import { rowIn, rowOf, Table } from "./table.js";
import { chosen, onDrop, Uploads } from "./uploads.js";
import { count, quoted, reachable, shown } from "./words.js";

const CHANGES_AT_ONCE = 4;
const MOVED = "application/x-lafs-names";

const files = document.getElementById("files");
const here = new URL(files.dataset.here, location.href).href;
const writable = Boolean(files.dataset.writable);
const picked = document.getElementById("picked");
const filter = document.getElementById("filter");

const table = new Table(files, told);
table.canMove = writable;

function told() {
  const number = table.selected.size;
  picked.hidden = !number;
  document.getElementById("picked-count").textContent = `${number} selected`;
  const all = document.getElementById("pick-all");
  all.checked = number > 0 && number >= table.view.length;
  all.indeterminate = number > 0 && !all.checked;
  const any = table.rows.length > 0;
  table.table.hidden = !table.view.length;
  document.getElementById("empty").hidden = any;
  document.getElementById("no-match").hidden = !any || table.view.length > 0;
  filter.hidden = !any;
  document.getElementById("summary").textContent = table.filter
    ? `${table.view.length} of ${count(table.rows.length, "item")}` : count(table.rows.length, "item");
}

let loading;

// Fetch the rows anew. Only the last of several calls counts.
async function reload() {
  loading?.abort();
  const mine = (loading = new AbortController());
  try {
    const { rows } = await json(`${here}?t=rows`, mine.signal);
    performance.mark("rows-here");
    table.setRows(rows.map(rowOf));
    requestAnimationFrame(() => setTimeout(() => performance.measure("rows-drawn", "rows-here")));
  } catch (error) {
    if (error.name !== "AbortError") toast(error.message);
  }
}

if ("partial" in files.dataset) reload();
else table.setRows([...document.querySelectorAll("#rows > tr")].map(rowIn));

document.addEventListener("lafs:changed", reload);

// --- sorting, searching, selecting ---

for (const head of files.querySelectorAll("th[data-column] a")) {
  head.addEventListener("click", (event) => {
    event.preventDefault();
    table.sortBy(head.parentElement.dataset.column);
  });
}

filter.addEventListener("input", () => table.search(filter.value));
document.getElementById("pick-all").addEventListener("change", (event) => table.selectAll(event.target.checked));

let shift = false;
table.body.addEventListener("pointerdown", (event) => { shift = event.shiftKey; });
table.body.addEventListener("change", (event) => {
  const row = event.target.closest("tr");
  if (row && event.target.type === "checkbox") table.select(row.dataset.name, event.target.checked, shift);
  shift = false;
});

// --- looking at files ---

table.body.addEventListener("click", (event) => {
  const link = event.target.closest(".name a");
  const row = event.target.closest("tr");
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || row.dataset.kind === "folder") return;
  event.preventDefault();
  look(row.dataset.name);
});

async function look(name) {
  const panel = await showPage(`${here}${quoted(name)}?t=view`, true);
  if (!panel) return;
  const seen = table.view.filter((row) => row.kind !== "folder" && row.kind !== "unknown" && reachable(row.name));
  const at = seen.findIndex((row) => row.name === name);
  if (at < 0 || seen.length < 2) return;
  const tools = panel.querySelector(".tools");
  const step = (by, icon, label) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "icon-only";
    button.title = label;
    button.dataset.step = by;
    button.innerHTML = `<svg class="icon" aria-hidden="true"><use href="#i-${icon}"/></svg><span class="away">${label}</span>`;
    button.addEventListener("click", () => look(seen[(at + by + seen.length) % seen.length].name));
    return button;
  };
  tools.prepend(step(-1, "left", "Previous file"), step(1, "right", "Next file"));
}

document.getElementById("dialog").addEventListener("keydown", (event) => {
  if (event.target.matches("input, textarea, video, audio")) return;
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (by) event.currentTarget.querySelector(`[data-step="${by}"]`)?.click();
});

// --- changing several at once ---

async function each(names, what, work) {
  let failed = null, done = 0;
  await eachOf(names, CHANGES_AT_ONCE, async (name) => {
    try {
      await work(name);
      done++;
    } catch (error) {
      failed = error;
    }
  });
  if (failed) toast(`${count(names.length - done, "item")} could not be ${what}: ${failed.message}`);
  else toast(`${count(done, "item")} ${what}`);
  table.selectAll(false);
  await reload();
}

function remove(names) {
  const panel = document.getElementById("delete-many").content.cloneNode(true);
  panel.querySelector("h1").textContent = `Delete ${count(names.length, "item")}?`;
  const list = panel.querySelector("ul");
  for (const name of names.slice(0, 8)) list.appendChild(document.createElement("li")).textContent = shown(name);
  if (names.length > 8) list.appendChild(document.createElement("li")).textContent = `and ${names.length - 8} more`;
  panel.querySelector("button").addEventListener("click", () => {
    closeDialog();
    each(names, "deleted", (name) => change(here, { t: "unlink", name }));
  });
  show(panel);
}

let moving = [];

async function move(names) {
  const panel = await showPage(`${here}?t=move-form&name=${quoted(names[0])}`);
  if (!panel || names.length === 1) return;
  moving = names;
  panel.querySelector("label b").textContent = count(names.length, "item");
}

document.addEventListener("lafs:submit", (event) => {
  const { form, fields } = event.detail;
  if (form.id !== "move-form" || moving.length < 2) return;
  event.preventDefault();
  const names = moving;
  event.detail.done = each(names, "moved", (name) => {
    fields.set("from_name", name);
    return change(here, [...fields]);
  });
});
document.getElementById("dialog").addEventListener("close", () => { moving = []; });

// One file as it is; of several, or a folder, an archive.
function download(names) {
  const [row] = table.rows.filter((each) => each.name === names[0]);
  if (names.length === 1 && row.kind !== "folder" && reachable(row.name)) {
    const link = document.createElement("a");
    link.href = `${here}${quoted(row.name)}?t=content&save=true`;
    link.click();
    return;
  }
  const form = document.getElementById("zip-form");
  form.elements.names.value = JSON.stringify(names);
  form.submit();
}

picked.addEventListener("click", (event) => {
  const act = event.target.closest("[data-act]")?.dataset.act;
  const names = [...table.selected];
  if (act === "clear") table.selectAll(false);
  if (act === "delete") remove(names);
  if (act === "move") move(names);
  if (act === "download") download(names);
});

// --- keys ---

document.addEventListener("keydown", (event) => {
  if (event.target.matches("input:not([type=checkbox]), textarea, select") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.querySelector("dialog[open]")) return;
  const row = event.target.closest("#rows tr[data-name]");
  const control = event.target.matches("input") ? "input" : event.target.matches("summary") ? "summary" : ".name a, .name .dead";
  const act = {
    "/": () => filter.focus(),
    ArrowDown: () => (row ? table.step(row, 1, control) : table.body.querySelector(".name a")?.focus()),
    ArrowUp: () => row && table.step(row, -1, control),
    PageDown: () => row && table.step(row, 15, control),
    PageUp: () => row && table.step(row, -15, control),
    Home: () => row && table.step(row, -Infinity, control),
    End: () => row && table.step(row, Infinity, control),
    Delete: () => {
      const names = table.selected.size ? [...table.selected] : row ? [row.dataset.name] : [];
      if (writable && names.length) remove(names);
    },
    F2: () => row && writable && showPage(`${here}?t=rename-form&name=${quoted(row.dataset.name)}`),
    Escape: () => table.selectAll(false),
  }[event.key];
  if (!act || (!row && !["/", "ArrowDown", "Delete", "Escape"].includes(event.key))) return;
  if (event.key !== "Escape") event.preventDefault();
  act();
});

// --- dragging rows into folders ---

if (writable) {
  let over = null;
  const target = (event) => {
    if (!event.dataTransfer.types.includes(MOVED)) return null;
    const found = event.target.closest('tr[data-kind="folder"], a[data-drop]');
    return found && !(found.dataset.name && dragged.includes(found.dataset.name)) ? found : null;
  };
  let dragged = [];
  const mark = (element) => {
    over?.classList.remove("over");
    over = element;
    over?.classList.add("over");
  };
  table.body.addEventListener("dragstart", (event) => {
    const name = event.target.closest("tr")?.dataset.name;
    if (name === undefined) return;
    dragged = table.selected.has(name) ? [...table.selected] : [name];
    event.dataTransfer.setData(MOVED, "");
    event.dataTransfer.effectAllowed = "move";
  });
  document.addEventListener("dragover", (event) => {
    const found = target(event);
    mark(found);
    if (found) event.preventDefault();
  });
  document.addEventListener("dragend", () => mark(null));
  document.addEventListener("drop", (event) => {
    const found = target(event);
    mark(null);
    if (!found) return;
    event.preventDefault();
    const place = found.dataset.name === undefined ? found.href : `${here}${quoted(found.dataset.name)}/`;
    const root = files.dataset.root;
    const path = new URL(place).pathname.slice(new URL(root, location.href).pathname.length);
    each(dragged, "moved", (name) => change(here, {
      t: "relink", from_name: name, replace: "false", to_path: "/" + path.split("/").map(decodeURIComponent).join("/"),
    }));
  });
}

// --- storing ---

if (writable) {
  const uploads = new Uploads(reload);

  const store = async (things) => {
    const taken = new Map(table.rows.map((row) => [row.name, row.kind]));
    const tops = [...new Set(things.files.filter(({ path }) => path.length === 1).map(({ path }) => path[0].normalize()))];
    const clashes = tops.filter((name) => taken.has(name));
    const answer = clashes.length ? await askAbout(clashes) : "replace";
    if (answer === "cancel") return;
    const renamed = new Map();
    if (answer === "both") for (const name of clashes) renamed.set(name, freeName(name, (each) => taken.has(each) || tops.includes(each)));
    const kept = things.files.filter(({ path }) => answer !== "skip" || path.length > 1 || !clashes.includes(path[0].normalize()));
    await uploads.store(here, {
      folders: things.folders,
      files: kept.map((file) => ({ ...file, path: file.path.length > 1 ? file.path : [renamed.get(file.path[0].normalize()) ?? file.path[0]] })),
    });
  };

  const askAbout = (names) => new Promise((resolve) => {
    const panel = document.getElementById("clash").content.cloneNode(true);
    panel.querySelector("[data-names]").textContent = names.slice(0, 5).map(shown).join(", ") + (names.length > 5 ? ` and ${names.length - 5} more` : "");
    let answer = "cancel";
    for (const button of panel.querySelectorAll("button[data-answer]")) {
      button.addEventListener("click", () => { answer = button.dataset.answer; closeDialog(); });
    }
    document.getElementById("dialog").addEventListener("close", () => resolve(answer), { once: true });
    show(panel);
  });

  const freeName = (name, taken) => {
    const dot = name.lastIndexOf(".") > 0 ? name.lastIndexOf(".") : name.length;
    for (let number = 2; ; number++) {
      const candidate = `${name.slice(0, dot)} (${number})${name.slice(dot)}`;
      if (!taken(candidate)) return candidate;
    }
  };

  onDrop(store);
  for (const id of ["pick-files", "pick-folder"]) {
    const input = document.getElementById(id);
    input.addEventListener("change", () => {
      store(chosen(input.files));
      input.value = "";
    });
  }
}
