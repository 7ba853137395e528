// Requests to the gateway. Every change carries the token of this session's forms; bodies of answers are not looked at (they may
// hold caps) but when they explain an error.

const token = document.querySelector('meta[name="form-token"]').content;

export class Refused extends Error {
  constructor(status, text) {
    super(text.trim().split("\n")[0].slice(0, 300) || `The gateway answered ${status}.`);
    this.status = status;
  }
}

const LOST = "The gateway does not answer. Is it still running?";

// POST a form. Resolves when the change is made.
export async function change(url, fields) {
  let answer;
  try {
    answer = await fetch(url, { method: "POST", headers: { "X-Form-Token": token }, body: new URLSearchParams(fields) });
  } catch {
    throw new Refused(0, LOST);
  }
  if (!answer.ok) throw new Refused(answer.status, await answer.text());
}

export async function json(url, signal) {
  const answer = await fetch(url, { signal, cache: "no-store" });
  if (!answer.ok) throw new Refused(answer.status, await answer.text());
  return answer.json();
}

// Send `body`; `progress(bytes)` is told how much is on its way. XMLHttpRequest, because fetch tells nothing of what it sends.
// Resolves to the text of the answer.
export function send(method, url, body, progress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, url);
    request.setRequestHeader("X-Form-Token", token);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = (event) => progress(event.loaded);
    request.onload = () => (request.status < 300 ? resolve(request.responseText) : reject(new Refused(request.status, request.responseText)));
    request.onerror = () => reject(new Refused(0, LOST));
    request.onabort = () => reject(new Refused(0, "stopped"));
    signal.addEventListener("abort", () => request.abort());
    request.send(body);
  });
}

// Do `work` for each of `items`, at most `most` at once. Failures are the business of `work`.
export async function eachOf(items, most, work) {
  const waiting = items[Symbol.iterator]();
  const line = async () => { for (const item of waiting) await work(item); };
  await Promise.all(Array.from({ length: most }, line));
}
