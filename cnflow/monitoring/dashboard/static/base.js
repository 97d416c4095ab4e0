// What every page does: colours, local times, live updates, actions behind a confirmation, output that grows, keys.
// Text of users enters the page through textContent alone, or as HTML that the server has escaped.
"use strict";
(() => {
  const one = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const root = document.documentElement;

  // -- Colours ------------------------------------------------------------------------------------------------------
  const setTheme = (theme, isKept) => {
    if (root.dataset.theme === theme) return;
    root.dataset.theme = theme;
    if (isKept) try { localStorage.setItem("cnflow-theme", theme); } catch { /* storage is switched off */ }
    document.dispatchEvent(new Event("themechange"));
  };
  const switchTheme = () => setTheme(root.dataset.theme === "dark" ? "light" : "dark", true);
  one("#theme").addEventListener("click", switchTheme);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) => {
    let chosen = null;
    try { chosen = localStorage.getItem("cnflow-theme"); } catch { /* storage is switched off */ }
    if (!chosen) setTheme(event.matches ? "dark" : "light", false);
  });

  // -- Times --------------------------------------------------------------------------------------------------------
  const two = (value) => String(value).padStart(2, "0");
  const clock = (when) => `${two(when.getHours())}:${two(when.getMinutes())}:${two(when.getSeconds())}`;
  const day = (when) => `${when.getFullYear()}-${two(when.getMonth() + 1)}-${two(when.getDate())}`;
  const ago = (when) => {
    const seconds = Math.max(0, (Date.now() - when) / 1000);
    for (const [length, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
      if (seconds >= length) return `${Math.floor(seconds / length)} ${unit} ago`;
    }
    return `${Math.floor(seconds)} s ago`;
  };
  const showTimes = (within) => {
    for (const time of all("time[datetime]", within)) {
      const when = new Date(time.dateTime);
      if (Number.isNaN(when.getTime())) continue;
      const style = time.dataset.style;
      time.textContent = style === "clock" ? clock(when) : style === "ago" ? ago(when) : `${day(when)} ${clock(when)}`;
      time.title = when.toLocaleString(undefined, { dateStyle: "full", timeStyle: "long" });
    }
  };
  showTimes(document);
  setInterval(() => all('time[data-style="ago"]').forEach((time) => showTimes(time.parentElement)), 10000);

  // -- Messages -----------------------------------------------------------------------------------------------------
  const toast = (text, isBad = false) => {
    const element = document.createElement("div");
    element.className = isBad ? "toast bad" : "toast";
    element.textContent = text;
    one("#toasts").append(element);
    setTimeout(() => element.remove(), isBad ? 9000 : 4500);
  };

  // -- Live updates -------------------------------------------------------------------------------------------------
  const LEAST_PAUSE = 1000;
  let isFetching = false, isDue = false, lastFetch = 0, pause = LEAST_PAUSE;

  const exchange = (fresh) => {
    for (const old of all("[data-live][id]")) {
      const next = fresh.getElementById(old.id);
      if (old.dataset.text) { // its text is fetched apart
        if (next) fetchText(old); else old.closest("[data-box]").remove();
        continue;
      }
      if (!next || next.outerHTML === old.dataset.shown || old.contains(document.getSelection()?.anchorNode) && !document.getSelection().isCollapsed) continue;
      const focused = old.contains(document.activeElement) ? document.activeElement : null;
      const key = focused && (focused.id ? `#${CSS.escape(focused.id)}` : focused.getAttribute("href") && `a[href="${CSS.escape(focused.getAttribute("href"))}"]`);
      const opened = all("details[open]", old).map((each) => each.id);
      const checked = all("input[type=checkbox]:checked", old).map((each) => each.value);
      const scrolled = all(".scroll, .output, .links", old).map((each) => [each.scrollLeft, each.scrollTop]);
      const shown = next.outerHTML;
      const element = document.importNode(next, true);
      old.replaceWith(element);
      element.dataset.shown = shown;
      opened.filter(Boolean).forEach((id) => { const each = document.getElementById(id); if (each) each.open = true; });
      all("input[type=checkbox]", element).forEach((each) => { each.checked = checked.includes(each.value); });
      all(".scroll, .output, .links", element).forEach((each, n) => { if (scrolled[n]) [each.scrollLeft, each.scrollTop] = scrolled[n]; });
      if (key) one(key, element)?.focus({ preventScroll: true });
      showTimes(element.parentElement);
      prepare(element);
    }
  };
  const refresh = async () => {
    if (isFetching || document.hidden || !one("[data-live][id]")) { isDue = isDue || isFetching || document.hidden; return; }
    const wait = lastFetch + pause - performance.now();
    if (wait > 0) { if (!isDue) { isDue = true; setTimeout(() => { isDue = false; refresh(); }, wait); } return; }
    isFetching = true; isDue = false;
    const began = performance.now();
    try {
      const answer = await fetch(location.href, { headers: { "X-Live": "1" }, cache: "no-store" });
      if (answer.ok) exchange(new DOMParser().parseFromString(await answer.text(), "text/html"));
      else if (answer.status === 404) live("lost", "This run is no longer in the database");
    } catch { /* the server is away: the stream says so */ }
    lastFetch = performance.now();
    pause = Math.max(LEAST_PAUSE, 4 * (lastFetch - began)); // a page that takes long is not asked for all the time
    isFetching = false;
    if (isDue) { isDue = false; refresh(); }
  };
  const live = (state, text) => {
    const element = one("#live");
    element.hidden = false;
    element.dataset.state = state;
    element.title = text;
    if (one(".words", element).textContent !== text) one(".words", element).textContent = text;
  };
  let lastChange = 0, changeTimer = 0;
  const changed = () => {
    const wait = lastChange + LEAST_PAUSE - performance.now();
    if (wait > 0) { changeTimer ||= setTimeout(() => { changeTimer = 0; changed(); }, wait); return; }
    lastChange = performance.now();
    document.dispatchEvent(new CustomEvent("cnflow:change"));
    refresh();
  };
  let stream = null, hasEnded = false;
  const follow = (url) => {
    if (stream || hasEnded || document.hidden) return;
    let wasLost = false;
    const mine = new EventSource(url);
    stream = mine;
    mine.addEventListener("open", () => { live("on", "live"); if (wasLost) changed(); wasLost = false; });
    mine.addEventListener("change", changed);
    mine.addEventListener("end", () => { hasEnded = true; unfollow(); live("off", "ended"); changed(); });
    mine.addEventListener("error", () => {
      wasLost = true;
      live("lost", "connection lost, trying again");
      if (mine.readyState !== EventSource.CLOSED) return;
      if (stream === mine) stream = null;
      setTimeout(() => follow(url), 5000);
    });
  };
  const unfollow = () => { stream?.close(); stream = null; };
  if (document.body.dataset.liveUrl) { // a browser opens six connections: the streams of hidden tabs would take them all
    follow(document.body.dataset.liveUrl);
    document.addEventListener("visibilitychange", () => { if (document.hidden) unfollow(); else follow(document.body.dataset.liveUrl); });
    addEventListener("pagehide", unfollow);
  }
  document.addEventListener("visibilitychange", () => { if (!document.hidden && isDue) { isDue = false; refresh(); } });
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

  // -- Actions ------------------------------------------------------------------------------------------------------
  const confirmed = ({ title, text, yes }) => new Promise((resolve) => {
    const dialog = one("#confirm");
    one("#confirm-title").textContent = title;
    one("#confirm-text").textContent = text;
    one("#confirm-yes").textContent = yes;
    one("#confirm-yes").onclick = () => dialog.close("yes");
    one("#confirm-no").onclick = () => dialog.close("");
    dialog.onclose = () => resolve(dialog.returnValue === "yes");
    dialog.returnValue = "";
    dialog.showModal();
    one("#confirm-no").focus();
  });
  const act = async (button) => {
    const { action, confirmTitle: title, confirmText: text, confirmYes: yes } = button.dataset;
    if (!(await confirmed({ title, text, yes }))) return;
    button.disabled = true;
    try {
      const token = one('meta[name="csrf"]').content;
      const answer = await fetch(action, {
        method: "POST",
        headers: { "X-CSRF-Token": token, Accept: "application/json" },
        body: new URLSearchParams({ csrf: token }),
      });
      let message = "";
      try { const reply = await answer.json(); message = reply.message || reply.error || reply.detail || ""; } catch { /* no JSON */ }
      toast(message || (answer.ok ? "Done." : `That did not work (${answer.status}).`), !answer.ok);
      changed();
    } catch {
      toast("The dashboard does not answer.", true);
    }
    button.disabled = false;
  };
  const copy = async (button) => {
    let text = button.dataset.copy;
    try {
      if (button.dataset.copyUrl) {
        const answer = await fetch(button.dataset.copyUrl);
        text = await answer.text();
        if (!answer.ok) { toast(text.slice(0, 300) || "That did not work.", true); return; }
      }
      if (button.dataset.copyFrom) text = one(button.dataset.copyFrom).textContent;
      await copyText(text);
      toast("Copied.");
    } catch { toast("The browser does not let this page copy.", true); }
  };
  const copyText = async (text) => {
    if (navigator.clipboard && isSecureContext) { await navigator.clipboard.writeText(text); return; }
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "visually-hidden";
    document.body.append(area);
    area.select();
    const isDone = document.execCommand("copy");
    area.remove();
    if (!isDone) throw new Error("refused");
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-action], button[data-copy], button[data-copy-url], button[data-copy-from]");
    if (!button) return;
    event.preventDefault();
    if (button.dataset.action) act(button); else copy(button);
  });

  // -- Output that grows, and texts that are fetched once ------------------------------------------------------------
  const MOST_SHOWN = 1000000;
  const followOutput = (element) => {
    let position = "";
    let isAtEnd = true;
    const shown = document.createTextNode("");
    element.addEventListener("scroll", () => { isAtEnd = element.scrollTop + element.clientHeight >= element.scrollHeight - 8; });
    const next = async () => {
      if (!element.isConnected) return;
      if (document.hidden) { setTimeout(next, 1000); return; }
      try {
        const answer = await fetch(`${element.dataset.output}${position === "" ? "" : `?after=${encodeURIComponent(position)}`}`, { cache: "no-store" });
        if (!answer.ok) throw new Error(answer.status);
        const part = await answer.json();
        if (position === "") element.replaceChildren(shown);
        if (part.text) {
          shown.data = (shown.data + part.text).slice(-MOST_SHOWN);
          if (isAtEnd) element.scrollTop = element.scrollHeight;
        }
        if (position === "" && part.skipped) {
          const note = document.createElement("span");
          note.className = "note";
          note.textContent = `… ${part.skipped.toLocaleString()} bytes before this are in ${part.source}\n`;
          element.prepend(note);
        }
        position = part.position;
        element.dataset.state = part.is_final ? "final" : "live";
        const isEmpty = !shown.data;
        element.hidden = isEmpty && (part.is_final || Boolean(part.note));
        one(`#${CSS.escape(element.id)}-note`)?.replaceChildren(isEmpty ? part.note || (part.is_final ? "It has printed nothing." : "Nothing was printed yet.") : part.source || "");
        if (!part.is_final) setTimeout(next, part.text ? 700 : 1500);
      } catch { setTimeout(next, 4000); }
    };
    next();
  };
  const asked = new WeakSet();
  const fetchText = async (element) => {
    if (asked.has(element)) return; // a driver that is stopped or busy answers late: questions do not pile up
    asked.add(element);
    try {
      const answer = await fetch(element.dataset.text, { cache: "no-store" });
      const text = (await answer.text()).trim();
      element.textContent = answer.ok && text ? text : "";
    } catch { element.textContent = ""; }
    asked.delete(element);
    const box = element.closest("[data-box]");
    if (box) box.hidden = !element.textContent;
  };
  const compareButton = () => {
    const button = one("#compare");
    if (!button) return;
    const chosen = all('input[name="run"]:checked');
    button.disabled = chosen.length !== 2;
    all('input[name="run"]').forEach((box) => { box.disabled = chosen.length >= 2 && !box.checked; });
  };
  const prepare = (within) => {
    all("[data-output]", within).forEach(followOutput);
    [...(within.matches?.("[data-text]") ? [within] : []), ...all("[data-text]", within)].forEach(fetchText);
    compareButton();
  };
  prepare(document);
  if (document.body.dataset.liveUrl) setInterval(() => { if (!document.hidden) all("[data-text]").forEach(fetchText); }, 3000);
  document.addEventListener("change", (event) => {
    if (event.target.matches('input[name="run"]')) compareButton();
    const form = event.target.closest("form.filters");
    if (form && event.target.matches("select")) form.requestSubmit();
  });
  document.addEventListener("submit", (event) => { // addresses without empty parts can be read and shared
    if (event.target.method === "get") all("input, select", event.target).forEach((field) => { if (!field.value) field.disabled = true; });
  });

  // -- Keys ---------------------------------------------------------------------------------------------------------
  let prefix = "";
  const rows = () => all("table[data-rows] tbody tr").filter((row) => one("a[href]", row));
  const move = (by) => {
    const list = rows();
    if (!list.length) return;
    const at = list.findIndex((row) => row.contains(document.activeElement));
    const row = list[Math.min(list.length - 1, Math.max(0, at < 0 ? (by > 0 ? 0 : list.length - 1) : at + by))];
    one("a[href]", row).focus();
    row.scrollIntoView({ block: "nearest" });
  };
  const tab = (letter) => {
    const list = all(".tabs a");
    const at = list.findIndex((each) => each.hasAttribute("aria-current"));
    const turned = [...list.slice(at + 1), ...list.slice(0, at + 1)];
    turned.find((each) => each.textContent.trim().toLowerCase().startsWith(letter))?.click();
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || one("dialog[open]")) return;
    if (event.target.matches("input, select, textarea, [contenteditable]")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (prefix === "g") { prefix = ""; tab(event.key.toLowerCase()); return; }
    if (event.key === "g") { prefix = "g"; setTimeout(() => { prefix = ""; }, 1200); }
    else if (event.key === "/") { const field = one('input[type="search"]'); if (field) { event.preventDefault(); field.focus(); field.select(); } }
    else if (event.key === "t") switchTheme();
    else if (event.key === "j") move(1);
    else if (event.key === "k") move(-1);
    else if (event.key === "]" || event.key === "n") one('a[rel="next"]')?.click();
    else if (event.key === "[" || event.key === "p") one('a[rel="prev"]')?.click();
    else return;
  });
  one(".tabs a[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
})();
