// Files and whole folders on their way to the gateway: what is to be stored where, how far it is, and what went wrong.

import { change, eachOf, send } from "./gateway.js";
import { count, quoted, shown, size } from "./words.js";

const AT_ONCE = 4;                  // of the six connections that a browser makes: the others are for the page itself
const SMALL = 512 * 1024;           // bytes: smaller files of one folder go together,
const BATCH_FILES = 100;            // so many
const BATCH_BYTES = 4 * 1024 * 1024;   // and so much at a time
const SHOWN_IN_LIST = 3000;

// --- what was dropped or chosen ---

// Entries of a drop must be taken before anything else is waited for.
export function dropped(transfer) {
  const items = [...transfer.items].filter((item) => item.kind === "file");
  const found = items.map((item) => item.webkitGetAsEntry?.() ?? item.getAsFile()).filter(Boolean);
  return async () => {
    const things = { files: [], folders: [] };
    for (const each of found) await collect(each, [], things);
    return things;
  };
}

export function chosen(files) {
  const things = { files: [], folders: [] };
  const folders = new Set();
  for (const file of files) {
    const path = (file.webkitRelativePath || file.name).split("/");
    things.files.push({ path, file: async () => file, size: file.size });
    for (let depth = 1; depth < path.length; depth++) folders.add(path.slice(0, depth).join("/"));
  }
  things.folders = [...folders].map((path) => path.split("/"));
  return things;
}

async function collect(entry, above, things) {
  const path = [...above, entry.name];
  if (entry instanceof File) {
    things.files.push({ path, file: async () => entry, size: entry.size });
  } else if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject)).catch(() => null);
    things.files.push({ path, file: async () => file, size: file?.size ?? 0 });
  } else {
    things.folders.push(path);
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)).catch(() => []);
      if (!some.length) break;
      for (const each of some) await collect(each, path, things);
    }
  }
}

// --- the tray ---

class Tray {
  constructor() {
    this.element = document.getElementById("tray");
    this.list = document.getElementById("tray-list");
    this.title = document.getElementById("tray-title");
    this.bar = document.getElementById("tray-progress");
    this.text = document.getElementById("tray-text");
    document.getElementById("tray-stop").addEventListener("click", () => this.stop?.());
  }

  add(name, bytes) {
    if (this.list.childElementCount >= SHOWN_IN_LIST) return { progress() {}, done() {}, failed() {} };
    const line = document.createElement("li");
    const title = line.appendChild(document.createElement("span"));
    const state = line.appendChild(document.createElement("span"));
    const bar = line.appendChild(document.createElement("progress"));
    title.textContent = title.title = shown(name);
    bar.max = bytes || 1;
    bar.value = 0;
    bar.setAttribute("aria-label", `Upload of ${shown(name)}`);
    state.textContent = "waiting";
    this.list.append(line);
    return {
      progress(sent) {
        if (line.className) return;
        bar.value = Math.min(sent, bar.max);
        state.textContent = sent < bytes ? `${Math.floor((100 * sent) / bytes)} %` : "storing";
      },
      done() {
        bar.remove();
        line.className = "done";
        state.textContent = "stored";
      },
      failed(message) {
        bar.remove();
        line.className = "failed";
        state.textContent = message;
        line.parentElement.prepend(line);
      },
    };
  }
}

// --- the work ---

export class Uploads {
  // `changed` is called now and then while there is more to be seen, and at the end.
  constructor(changed) {
    this.tray = new Tray();
    this.changed = changed;
    this.total = this.sent = this.files = this.done = this.failures = 0;
    this.running = 0;
    this.tray.stop = () => (this.running ? this.abort.abort() : this.close());
    addEventListener("beforeunload", (event) => { if (this.running) event.preventDefault(); });
  }

  close() {
    this.tray.element.hidden = true;
    this.tray.list.replaceChildren();
    this.total = this.sent = this.files = this.done = this.failures = 0;
  }

  // Store `things` below the directory at `here`.
  async store(here, { files, folders }) {
    if (!this.running++) {
      this.close();
      this.abort = new AbortController();
    }
    this.files += files.length;
    this.total += files.reduce((sum, { size: bytes }) => sum + bytes, 0);
    this.tray.element.hidden = false;
    const jobs = files.map((file) => ({ ...file, line: this.tray.add(file.path.join("/"), file.size) }));
    this.tell();
    const noticing = setInterval(this.changed, 2500);
    try {
      await this.makeFolders(here, folders);
      await eachOf(batches(jobs), AT_ONCE, (batch) => (batch.length > 1 ? this.storeBatch(here, batch) : this.storeFile(here, batch[0])));
    } finally {
      clearInterval(noticing);
      this.running--;
      this.tell();
      this.changed();
    }
  }

  // Those with fewer names first, so that each finds the one it is in.
  async makeFolders(here, folders) {
    const depths = Map.groupBy ? Map.groupBy(folders, (path) => path.length) : grouped(folders);
    for (const depth of [...depths.keys()].sort((a, b) => a - b)) {
      await eachOf(depths.get(depth), AT_ONCE, async (path) => {
        if (this.abort.signal.aborted) return;
        try {
          await change(address(here, path.slice(0, -1)) + "/", { t: "mkdir", name: path.at(-1), replace: "false" });
        } catch (error) {
          if (error.status !== 409) this.fail(this.tray.add(path.join("/") + "/", 0), error.message);
        }
      });
    }
  }

  async storeFile(here, job) {
    const progress = this.progressOf([job], 0);
    try {
      const contents = await this.contentsOf(job);
      await send("PUT", address(here, job.path), contents, progress, this.abort.signal);
      this.succeed(job);
    } catch (error) {
      this.fail(job.line, error.message);
    }
    progress(job.size);
  }

  // Small files of one folder, in one request.
  async storeBatch(here, batch) {
    const jobs = [], contents = [];
    for (const job of batch) {
      try {
        contents.push(await this.contentsOf(job));
        jobs.push(job);
      } catch (error) {
        this.fail(job.line, error.message);
      }
    }
    const list = JSON.stringify(jobs.map((job, index) => [job.path.at(-1), contents[index].size])) + "\n";
    const body = new Blob([list, ...contents]);
    const progress = this.progressOf(jobs, body.size - contents.reduce((sum, file) => sum + file.size, 0));
    const place = address(here, batch[0].path.slice(0, -1)) + "/?t=upload-batch";
    try {
      const { refused } = JSON.parse(await send("POST", place, body, progress, this.abort.signal));
      for (const job of jobs) {
        const reason = refused[job.path.at(-1).normalize()];
        if (reason === undefined) this.succeed(job);
        else this.fail(job.line, reason.split("\n")[0]);
      }
    } catch (error) {
      for (const job of jobs) this.fail(job.line, error.message);
    }
    progress(body.size);
  }

  async contentsOf(job) {
    if (this.abort.signal.aborted) throw new Error("stopped");
    const contents = await job.file();
    if (!contents) throw new Error("it cannot be read");
    return contents;
  }

  // A function that is told how many bytes of a request are on their way, and tells the files in it.
  progressOf(jobs, header) {
    const before = jobs.map(() => 0);
    return (sent) => {
      let left = Math.max(0, sent - header);
      jobs.forEach((job, index) => {
        const now = Math.min(left, job.size);
        left -= now;
        if (now === before[index] && now < job.size) return;
        this.sent += now - before[index];
        before[index] = now;
        job.line.progress(now);
      });
      this.tell();
    };
  }

  succeed(job) {
    this.done++;
    job.line.done();
  }

  fail(line, message) {
    this.failures++;
    line.failed(message);
  }

  // At most once a frame: there may be thousands of small files.
  tell() {
    this.telling ??= requestAnimationFrame(() => {
      this.telling = undefined;
      const { title, bar, text } = this.tray;
      const part = this.total ? this.sent / this.total : this.files ? this.done / this.files : 0;
      bar.value = this.running ? Math.min(part, 0.999) : 1;
      if (this.running) title.textContent = `Storing ${count(this.files, "file")}`;
      else if (this.failures) title.textContent = `${count(this.failures, "thing")} could not be stored`;
      else title.textContent = `${count(this.done, "file")} stored`;
      text.textContent = `${this.done} of ${this.files} · ${size(this.sent)} of ${size(this.total)}`;
    });
  }
}

function grouped(folders) {
  const groups = new Map();
  for (const path of folders) groups.set(path.length, [...(groups.get(path.length) ?? []), path]);
  return groups;
}

// Files that go alone, and batches of small ones that go into the same folder.
function batches(jobs) {
  const all = [], open = new Map();
  for (const job of jobs) {
    const folder = job.path.slice(0, -1).join("/");
    const batch = open.get(folder);
    if (job.size > SMALL) all.push([job]);
    else if (batch && batch.length < BATCH_FILES && batch.bytes + job.size <= BATCH_BYTES) {
      batch.push(job);
      batch.bytes += job.size;
    } else {
      const fresh = [job];
      fresh.bytes = job.size;
      open.set(folder, fresh);
      all.push(fresh);
    }
  }
  return all;
}

const address = (here, path) => new URL(here, location.href).href.replace(/\/$/, "") + path.map((name) => "/" + quoted(name)).join("");

// --- dropping ---

// Call `take(things)` for what is dropped anywhere on the page.
export function onDrop(take) {
  let inside = 0;
  const files = (event) => event.dataTransfer?.types.includes("Files");
  const mark = () => document.body.classList.toggle("dragging", inside > 0);
  addEventListener("dragenter", (event) => { if (files(event)) { inside++; mark(); event.preventDefault(); } });
  addEventListener("dragleave", (event) => { if (files(event)) { inside = Math.max(0, inside - 1); mark(); } });
  addEventListener("dragover", (event) => { if (files(event)) { event.preventDefault(); event.dataTransfer.dropEffect = "copy"; } });
  addEventListener("drop", async (event) => {
    if (!files(event)) return;
    event.preventDefault();
    inside = 0;
    mark();
    const things = dropped(event.dataTransfer);
    take(await things());
  });
}
