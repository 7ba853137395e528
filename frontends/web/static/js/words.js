// Numbers, moments and names for people: the same as the gateway writes them, but in the reader's own time.

export function size(bytes) {
  if (bytes === null) return "";
  let amount = bytes;
  for (const unit of ["bytes", "kB", "MB", "GB", "TB"]) {
    if (amount < 1000) return unit === "bytes" ? `${amount} bytes` : `${amount.toFixed(1)} ${unit}`;
    amount /= 1000;
  }
  return `${amount.toFixed(1)} PB`;
}

const pad = (number) => String(number).padStart(2, "0");

export function moment(seconds) {
  if (seconds === null) return "";
  const date = new Date(seconds * 1000);
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())} ${pad(date.getHours())}:${pad(date.getMinutes())}`;
}

export const count = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;

const MISLEADING = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g;

// A name with a mark for every character that would show it differently from what it is.
export const shown = (name) => name.replace(MISLEADING, "\ufffd");

// A name as one segment of a path.
export const quoted = (name) => encodeURIComponent(name.toWellFormed ? name.toWellFormed() : name);

export const reachable = (name) => name !== "." && name !== ".." && !name.includes("/");
