// What is going on, followed live; and files for the user's own folder, chosen or dropped on the first page.

import { json } from "./gateway.js";
import { chosen, onDrop, Uploads } from "./uploads.js";
import { size } from "./words.js";

const TITLES = { upload: "Upload", download: "Download", publish: "Change", retrieve: "Read" };
const BUSY = 700, QUIET = 3000;   // milliseconds

function follow(place) {
  const list = place.querySelector("[data-live-list]");
  const none = place.querySelector("[data-live-none]");
  const blank = place.querySelector("template").content.firstElementChild;

  const draw = (operations) => {
    none.hidden = operations.length > 0;
    list.replaceChildren(...operations.slice(0, Number(place.dataset.recent)).map((each) => {
      const line = blank.cloneNode(true);
      const title = TITLES[each.kind] ?? each.kind;
      line.querySelector("use").setAttribute("href", ["download", "retrieve"].includes(each.kind) ? "#i-download" : "#i-upload");
      line.querySelector("b").textContent = title;
      line.querySelector("a").href = place.dataset.live.replace("?t=live", `/${each.name}`);
      line.querySelector("a").href = `${place.dataset.live.replace(/\?.*/, "")}/${each.name}`;
      line.querySelector("code").textContent = each.storage_index;
      const state = line.querySelector("span.small");
      state.textContent = [each.status, size(each.size)].filter(Boolean).join(" · ");
      state.className = each.failed ? "small failed" : "small soft";
      const bar = line.querySelector("progress");
      if (each.progress === null) bar.remove();
      else {
        bar.value = each.progress;
        bar.setAttribute("aria-label", `Progress of ${title} ${each.name}`);
      }
      return line;
    }));
    return operations.some((each) => each.progress !== null);
  };

  const look = async () => {
    let wait = QUIET;
    if (!document.hidden) {
      try {
        if (draw(await json(place.dataset.live))) wait = BUSY;
      } catch { wait = 5 * QUIET; }
    }
    setTimeout(look, wait);
  };
  look();
}

for (const place of document.querySelectorAll("[data-live]")) follow(place);

const home = document.getElementById("home-upload");
if (home) {
  const uploads = new Uploads(() => {});
  const store = async (things) => {
    await uploads.store(home.dataset.home, things);
    if (!uploads.failures) location.assign(home.dataset.home);
  };
  onDrop(store);
  const input = home.querySelector("input");
  input.addEventListener("change", () => store(chosen(input.files)));
}
