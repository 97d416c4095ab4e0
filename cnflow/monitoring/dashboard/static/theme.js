// Sets the colours before the first paint: those that were chosen here, else those of the system.
"use strict";
(() => {
  let theme = null;
  try { theme = localStorage.getItem("cnflow-theme"); } catch { /* storage is switched off */ }
  if (theme !== "dark" && theme !== "light") theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  document.documentElement.dataset.theme = theme;
})();
