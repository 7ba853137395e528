// Runs before the page is drawn: says that scripts run, and which theme was chosen, so that nothing flickers.
(() => {
  const root = document.documentElement;
  root.classList.add("scripted");
  let chosen = null;
  try { chosen = localStorage.getItem("theme"); } catch { /* no storage: the system's theme */ }
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
})();
