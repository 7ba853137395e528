// The table of a directory. All rows are in memory; those near what is seen are in the page, made from the template of the page.

import { moment, quoted, reachable, shown, size } from "./words.js";

const DRAWN_WHOLE = 400;   // rows; a longer table has only those near the screen in the page
const AROUND = 25;         // rows drawn above and below the screen
const PLACEHOLDER = encodeURIComponent("\ue000");   // stands for the name in the template's addresses

const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
const byName = (a, b) => collator.compare(a.name, b.name) || (a.name < b.name ? -1 : 1);
const COLUMNS = {
  name: byName,
  size: (a, b) => (a.size ?? -1) - (b.size ?? -1) || byName(a, b),
  kind: (a, b) => (a.kind < b.kind ? -1 : a.kind > b.kind ? 1 : byName(a, b)),
  modified: (a, b) => (a.modified ?? 0) - (b.modified ?? 0) || byName(a, b),
};

export const rowOf = ([name, type, kind, bytes, created, modified]) => ({ name, type, kind, size: bytes, created, modified });

const number = (text) => (text === "" ? null : Number(text));

// A row that the gateway drew.
export const rowIn = ({ dataset }) => ({
  name: dataset.name, type: dataset.type, kind: dataset.kind,
  size: number(dataset.size), created: number(dataset.created), modified: number(dataset.modified),
});

export class Table {
  constructor(element, changed) {
    this.table = element.querySelector("table");
    this.body = element.querySelector("tbody");
    this.template = document.getElementById("row").content.querySelector("tr");
    this.kindNames = JSON.parse(element.dataset.kinds);
    this.changed = changed;
    this.rows = [];
    this.view = [];
    this.selected = new Set();
    this.filter = "";
    this.order = element.dataset.order;
    this.drawn = new Map();
    this.anchor = null;
    this.gaps = [gap(), gap()];
    this.height = 48;
    const later = () => { this.pending ??= requestAnimationFrame(() => { this.pending = undefined; this.draw(); }); };
    addEventListener("scroll", later, { passive: true });
    addEventListener("resize", () => { this.measured = false; later(); });
  }

  // Show other rows.
  setRows(rows) {
    this.rows = rows;
    const names = new Set(rows.map((row) => row.name));
    for (const name of this.selected) if (!names.has(name)) this.selected.delete(name);
    this.arrange();
  }

  sortBy(column) {
    this.order = this.order === column ? `-${column}` : column;
    for (const head of this.table.querySelectorAll("th[data-column]")) {
      head.removeAttribute("aria-sort");
      if (head.dataset.column === column) head.setAttribute("aria-sort", this.order === column ? "ascending" : "descending");
    }
    this.arrange();
  }

  search(text) {
    this.filter = text.trim().toLowerCase();
    this.arrange();
  }

  arrange() {
    const compare = COLUMNS[this.order.replace("-", "")];
    const sign = this.order.startsWith("-") ? -1 : 1;
    const folder = (row) => (row.kind === "folder" ? 0 : 1);
    this.view = this.rows.filter((row) => !this.filter || row.name.toLowerCase().includes(this.filter));
    this.view.sort((a, b) => folder(a) - folder(b) || sign * compare(a, b));
    this.table.setAttribute("aria-rowcount", this.view.length + 1);
    this.drawn.clear();
    this.body.replaceChildren(...this.gaps);
    this.draw();
    this.changed();
  }

  draw() {
    const total = this.view.length;
    if (!this.measured && this.drawn.size) this.measure();
    let first = 0, last = total;
    if (total > DRAWN_WHOLE) {
      const above = -this.body.getBoundingClientRect().top;
      first = Math.max(0, Math.min(Math.floor(above / this.height), total) - AROUND);
      last = Math.min(total, first + Math.ceil(innerHeight / this.height) + 2 * AROUND);
    }
    const wanted = new Set();
    for (let index = first; index < last; index++) wanted.add(this.view[index].name);
    for (const [name, element] of this.drawn) {
      if (!wanted.has(name)) {
        element.remove();
        this.drawn.delete(name);
      }
    }
    this.gaps[0].firstChild.style.height = `${first * this.height}px`;
    this.gaps[1].firstChild.style.height = `${(total - last) * this.height}px`;
    let next = this.gaps[0].nextSibling;
    for (let index = first; index < last; index++) {
      const row = this.view[index];
      let element = this.drawn.get(row.name);
      if (!element) {
        element = this.made(row, index);
        this.drawn.set(row.name, element);
      }
      if (element === next) next = next.nextSibling;
      else this.body.insertBefore(element, next);
    }
    if (!this.measured && this.drawn.size) this.measure();
  }

  measure() {
    this.measured = true;
    const height = this.drawn.values().next().value.getBoundingClientRect().height;
    if (height && Math.abs(height - this.height) > 0.01) {
      this.height = height;
      this.draw();
    }
  }

  made(row, index) {
    const element = this.template.cloneNode(true);
    const name = shown(row.name);
    element.dataset.name = row.name;
    element.dataset.kind = row.kind;
    element.setAttribute("aria-rowindex", index + 2);
    const icon = element.querySelector(".named svg");
    icon.setAttribute("class", `icon k-${row.kind}`);
    icon.firstElementChild.setAttribute("href", `#i-${row.kind}`);
    const open = element.querySelector(".name a");
    if (!reachable(row.name) || row.kind === "unknown") {
      const dead = document.createElement("span");
      dead.className = "dead";
      dead.append(...open.childNodes);
      open.replaceWith(dead);
      for (const link of element.querySelectorAll("[data-below]")) link.remove();
    } else {
      open.href = row.kind === "folder" ? open.getAttribute("href").replace("?t=view", "/") : open.getAttribute("href");
    }
    for (const link of element.querySelectorAll("a[data-for]")) {
      if ((link.dataset.for === "folder") !== (row.kind === "folder")) link.remove();
      else link.hidden = false;
    }
    for (const link of element.querySelectorAll("a[href]")) {
      link.setAttribute("href", link.getAttribute("href").replace(PLACEHOLDER, quoted(row.name)));
    }
    element.querySelector("bdi").textContent = name;
    element.querySelector(".meta").textContent = [size(row.size), moment(row.modified)].filter(Boolean).join(" · ");
    element.querySelector(".size").textContent = size(row.size);
    element.querySelector(".kind").textContent = this.kindNames[row.kind] ?? "";
    element.querySelector(".when").textContent = moment(row.modified);
    element.querySelector("summary").setAttribute("aria-label", `More about ${name}`);
    element.querySelector("input").setAttribute("aria-label", `Select ${name}`);
    element.draggable = Boolean(this.canMove);
    this.mark(element, this.selected.has(row.name));
    return element;
  }

  // --- selection ---

  mark(element, is) {
    element.setAttribute("aria-selected", is);
    element.querySelector("input").checked = is;
  }

  // Select or not: one row, or with `extend` all from the last one on.
  select(name, is, extend = false) {
    const to = this.view.findIndex((row) => row.name === name);
    const from = extend && this.anchor !== null ? this.view.findIndex((row) => row.name === this.anchor) : to;
    for (const row of this.view.slice(Math.min(from, to), Math.max(from, to) + 1)) this.put(row.name, is);
    this.anchor = name;
    this.changed();
  }

  selectAll(is) {
    for (const row of this.view) this.put(row.name, is);
    this.changed();
  }

  put(name, is) {
    if (is) this.selected.add(name);
    else this.selected.delete(name);
    const element = this.drawn.get(name);
    if (element) this.mark(element, is);
  }

  // Move the focus by so many rows from that of `element`, scrolling there if need be.
  step(element, by, selector) {
    const from = this.view.findIndex((row) => row.name === element.dataset.name);
    const index = Math.max(0, Math.min(this.view.length - 1, from + by));
    const name = this.view[index].name;
    if (!this.drawn.has(name)) {
      scrollBy(0, this.body.getBoundingClientRect().top + index * this.height - innerHeight / 2);
      this.draw();
    }
    const target = this.drawn.get(name)?.querySelector(selector);
    target?.focus({ preventScroll: true });
    target?.closest("tr").scrollIntoView({ block: "nearest" });
  }
}

function gap() {
  const row = document.createElement("tr");
  row.className = "gap";
  row.setAttribute("aria-hidden", "true");
  row.appendChild(document.createElement("td"));
  return row;
}
