// Graph of a run on a canvas: 10,000 nodes and more, with pan, zoom, keys and click-through.
//
//   graph.json (places from the server) ──> data ──draw()──> edges, nodes, the chosen node and its neighbours
//   pointer, wheel, keys ──> view (scale, left, top), chosen ──┘ once per frame
(() => {
  "use strict";
  const root = document.getElementById("graph");
  if (!root) return;
  const { appColor, color, faint, number, made, asked } = window.cnflowCharts;
  const canvas = root.querySelector("canvas");
  const paper = canvas.getContext("2d");
  const tip = root.querySelector(".tip");
  const words = document.getElementById("graph-words");
  const STATES = ["done", "staging_out", "running", "staging_in", "launched", "waiting", "failed", "dependency_failed", "cancelled"];
  const WORST = ["failed", "dependency_failed", "cancelled", "running", "staging_in", "staging_out", "launched", "waiting", "done"];
  const LABELS = { launched: "queued", dependency_failed: "dependency failed", staging_in: "staging in", staging_out: "staging out" };
  const FONT = "system-ui, 'DejaVu Sans', sans-serif";
  const MANY_EDGES = 20000;
  const LIST_ROWS = 500;

  let data = null, view = { scale: 1, left: 0, top: 0 }, chosen = -1, colourBy = "state";
  let paints = {}, mains = [], needs = [], neededBy = [], cells = new Map(), isFitted = true, isFrameDue = false;

  // -- Data -----------------------------------------------------------------------------------------------------------
  const label = (state) => LABELS[state] ?? state;
  const main = (states) => WORST.find((state) => states[state]) ?? "waiting";
  const total = (states) => Object.values(states).reduce((sum, count) => sum + count, 0);
  const statesText = (states) => [...STATES, ...Object.keys(states).filter((each) => !STATES.includes(each))]
    .filter((state) => states[state]).map((state) => (total(states) > 1 ? `${number(states[state])} ${label(state)}` : label(state))).join(", ");
  const linkOf = (at) => {
    if (data.tasks[at] != null) return `${root.dataset.tasksUrl}/${data.tasks[at]}`;
    const query = new URLSearchParams({ app: data.apps[data.app[at]] });
    if (data.grouping === "app and state") query.set("state", main(data.states[at]));
    return `${root.dataset.tasksUrl}?${query}`;
  };
  const take = (answer) => {
    const isFirst = !data, chosenId = data && chosen >= 0 ? data.ids[chosen] : null;
    const hasMoved = !data || data.ids.length !== answer.ids.length || data.has_boxes !== answer.has_boxes;
    data = answer;
    mix();
    mains = data.states.map(main);
    needs = data.ids.map(() => []);
    neededBy = data.ids.map(() => []);
    for (let at = 0; at < data.edges.length; at += 3) {
      needs[data.edges[at + 1]].push(data.edges[at]);
      neededBy[data.edges[at]].push(data.edges[at + 1]);
    }
    cells = new Map();
    data.x.forEach((x, at) => cells.set(cellAt(x, data.y[at]), [...(cells.get(cellAt(x, data.y[at])) ?? []), at]));
    chosen = chosenId == null ? -1 : data.ids.indexOf(chosenId);
    if (isFirst || (hasMoved && isFitted)) fit();
    say();
    keys();
    list();
    redraw();
    root.dataset.nodes = String(data.ids.length);
  };
  const cellAt = (x, y) => `${Math.floor(x / data.width)},${Math.floor(y / data.height)}`;
  const nodeAt = (x, y) => {
    const [halfWide, halfHigh] = half();
    const across = Math.floor(x / data.width), down = Math.floor(y / data.height);
    for (let column = across - 1; column <= across + 1; column += 1) {
      for (let row = down - 1; row <= down + 1; row += 1) {
        const found = (cells.get(`${column},${row}`) ?? []).find((at) => Math.abs(x - data.x[at]) <= halfWide && Math.abs(y - data.y[at]) <= halfHigh);
        if (found !== undefined) return found;
      }
    }
    return -1;
  };
  const half = () => (data.has_boxes ? [92, 19] : [data.width * 0.44, data.height * 0.44]);

  // -- Text beside the drawing ------------------------------------------------------------------------------------------
  const title = (at) => (data.tasks[at] != null ? `Task ${data.tasks[at]} (${data.apps[data.app[at]]})` : data.labels[at]);
  const say = () => {
    if (!data.ids.length) { words.textContent = "No task was submitted yet."; return; }
    if (chosen >= 0) {
      words.textContent = `${title(chosen)}: ${statesText(data.states[chosen])}; needs ${number(needs[chosen].length)}, needed by ${number(neededBy[chosen].length)}. Enter opens it.`;
      return;
    }
    const kind = data.grouping === "none" ? "tasks" : `groups by ${data.grouping}`;
    const dependencies = data.edges.reduce((sum, part, at) => (at % 3 === 2 ? sum + part : sum), 0);
    words.textContent = `${number(data.ids.length)} ${kind}, ${data.is_estimated ? "about " : ""}${number(dependencies)} dependencies between them.${data.is_cut ? " There are more; the rest is left out." : ""}`;
  };
  const keys = () => {
    const shown = document.getElementById("graph-keys");
    const entries = colourBy === "app"
      ? data.apps.slice(0, 24).map((app, at) => [app, paints.apps[at]])
      : STATES.filter((state) => data.states.some((states) => states[state])).map((state) => [label(state), paints[state]]);
    shown.replaceChildren(...entries.map(([text, paint]) => {
      const swatch = made("span", { class: "swatch" });
      swatch.style.background = paint;
      return made("li", { title: text }, swatch, made("span", { text }));
    }));
  };
  const list = () => {
    const details = document.getElementById("graph-list");
    const fill = () => {
      if (!details.open) return;
      const body = details.querySelector("tbody");
      body.replaceChildren(...data.ids.slice(0, LIST_ROWS).map((_, at) => made("tr", {},
        made("td", {}, made("a", { href: linkOf(at), text: title(at) })), made("td", { text: data.apps[data.app[at]] }),
        made("td", { text: statesText(data.states[at]) }), made("td", { class: "num", text: number(needs[at].length) }), made("td", { class: "num", text: number(neededBy[at].length) }))));
      if (data.ids.length > LIST_ROWS) body.append(made("tr", {}, made("td", { colspan: "5", class: "muted", text: `and ${number(data.ids.length - LIST_ROWS)} more: group them, or see the page Tasks` })));
    };
    details.ontoggle = fill;
    fill();
  };

  // -- Colours ----------------------------------------------------------------------------------------------------------
  const mix = () => {
    paints = Object.fromEntries(STATES.map((state) => [state, color(`state-${state}`)]));
    paints.apps = (data?.apps ?? []).map((_, at) => appColor(at));
    Object.assign(paints, { line: color("line-2"), text: color("fg"), muted: color("muted"), panel: color("panel"), accent: color("accent"), soft: color("soft") });
  };
  const paintOf = (at) => {
    if (colourBy === "app") return paints.apps[data.app[at]];
    return data.tasks[at] == null && data.has_boxes ? paints.muted : paints[mains[at]] ?? paints.muted; // the shares of a group's states are in its box
  };

  // -- Drawing ------------------------------------------------------------------------------------------------------------
  const redraw = () => {
    if (isFrameDue) return;
    isFrameDue = true;
    requestAnimationFrame(() => { isFrameDue = false; draw(); });
  };
  const bounds = () => {
    let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
    data.x.forEach((x, at) => {
      left = Math.min(left, x); right = Math.max(right, x);
      top = Math.min(top, data.y[at]); bottom = Math.max(bottom, data.y[at]);
    });
    const [wide, high] = half();
    return { left: left - wide, top: top - high, right: right + wide, bottom: bottom + high };
  };
  const READABLE = 0.62;
  const fit = (isWhole = false) => {
    if (!data || !data.ids.length) return;
    const box = bounds();
    const [wide, high] = [canvas.clientWidth, canvas.clientHeight];
    const margin = 24;
    view.scale = Math.min((wide - 2 * margin) / (box.right - box.left), (high - 2 * margin) / (box.bottom - box.top), data.has_boxes ? 1 : 2);
    view.left = (wide - (box.right + box.left) * view.scale) / 2;
    if (data.has_boxes && !isWhole && view.scale < READABLE) { // labels can be read: the beginning is shown
      view.scale = READABLE;
      view.left = margin - box.left * view.scale;
    }
    view.top = (high - (box.bottom + box.top) * view.scale) / 2;
    isFitted = true;
  };
  const toScreen = (at) => [data.x[at] * view.scale + view.left, data.y[at] * view.scale + view.top];
  const draw = () => {
    const [wide, high, dots] = [canvas.clientWidth, canvas.clientHeight, window.devicePixelRatio || 1];
    if (canvas.width !== Math.round(wide * dots) || canvas.height !== Math.round(high * dots)) {
      canvas.width = Math.round(wide * dots);
      canvas.height = Math.round(high * dots);
    }
    paper.setTransform(dots, 0, 0, dots, 0, 0);
    paper.clearRect(0, 0, wide, high);
    if (!data) return;
    const isSeen = (at) => {
      const [x, y] = toScreen(at);
      return x > -200 * view.scale - 20 && x < wide + 200 * view.scale + 20 && y > -40 && y < high + 40;
    };
    edges(wide, high);
    if (data.has_boxes) data.ids.forEach((_, at) => { if (isSeen(at)) box(at); });
    else dotsOf(isSeen);
    if (chosen >= 0) mark();
  };
  const line = (from, to) => {
    const [halfWide] = half();
    const [fromX, fromY] = toScreen(from), [toX, toY] = toScreen(to);
    const startX = fromX + halfWide * view.scale, endX = toX - halfWide * view.scale;
    if (from === to) { // a group that needs itself: a loop at its right side
      const [, halfHigh] = half();
      const out = 26 * view.scale, reach = halfHigh * view.scale * 0.5;
      paper.moveTo(startX, fromY - reach);
      paper.bezierCurveTo(startX + out, fromY - reach * 2.4, startX + out, fromY + reach * 2.4, startX, fromY + reach);
      return;
    }
    paper.moveTo(startX, fromY);
    if (data.edges.length > 3 * MANY_EDGES) { paper.lineTo(endX, toY); return; }
    const bend = endX > startX ? Math.max((endX - startX) * 0.45, 12 * view.scale) : 60 * view.scale; // back: to the next line, or a cycle
    const columns = Math.abs(data.x[to] - data.x[from]) / data.width; // past the nodes of columns between
    const isBack = endX < startX;
    const rise = data.has_boxes && (isBack || columns > 1.5) ? data.height * view.scale * (isBack ? 0.8 : 0.45) * Math.min(columns, 4) : 0;
    paper.bezierCurveTo(startX + bend, fromY - rise, endX - bend, toY - rise, endX, toY);
  };
  const edges = (wide, high) => {
    const count = data.edges.length / 3;
    paper.strokeStyle = faint(paints.muted, count > 5000 ? 22 : count > 800 ? 40 : 65);
    paper.lineWidth = Math.min(1.4, Math.max(0.5, view.scale));
    let drawn = 0;
    paper.beginPath();
    for (let at = 0; at < data.edges.length; at += 3) {
      const [from, to] = [data.edges[at], data.edges[at + 1]];
      const [fromX, fromY] = toScreen(from), [toX, toY] = toScreen(to);
      if ((fromX < 0 && toX < 0) || (fromX > wide && toX > wide) || (fromY < 0 && toY < 0) || (fromY > high && toY > high)) continue;
      line(from, to);
      drawn += 1;
      if (drawn % 1000 === 0) { paper.stroke(); paper.beginPath(); }
    }
    paper.stroke();
    if (data.has_boxes && view.scale > 0.35) for (let at = 0; at < data.edges.length; at += 3) if (data.edges[at] !== data.edges[at + 1]) arrow(data.edges[at + 1]);
  };
  const arrow = (to) => {
    const [halfWide] = half();
    const [x, y] = toScreen(to);
    const tipX = x - halfWide * view.scale, length = 7 * Math.min(1, view.scale + 0.2);
    paper.fillStyle = paints.muted;
    paper.beginPath();
    paper.moveTo(tipX, y);
    paper.lineTo(tipX - length, y - length / 2);
    paper.lineTo(tipX - length, y + length / 2);
    paper.fill();
  };
  const box = (at) => {
    const [x, y] = toScreen(at), [halfWide, halfHigh] = half().map((each) => each * view.scale);
    const paint = paintOf(at), round = 7 * view.scale;
    paper.beginPath();
    paper.roundRect(x - halfWide, y - halfHigh, 2 * halfWide, 2 * halfHigh, round);
    paper.fillStyle = paints.panel;
    paper.fill();
    paper.fillStyle = faint(paint, 14);
    paper.fill();
    paper.strokeStyle = paint;
    paper.lineWidth = Math.max(1, 1.4 * view.scale);
    paper.stroke();
    const count = total(data.states[at]);
    if (data.tasks[at] == null && count) { // shares of states along the lower edge
      paper.save();
      paper.clip();
      let left = x - halfWide;
      STATES.forEach((state) => {
        const width = (2 * halfWide * (data.states[at][state] ?? 0)) / count;
        paper.fillStyle = paints[state];
        paper.fillRect(left, y + halfHigh - 6 * view.scale, width, 6 * view.scale);
        left += width;
      });
      paper.restore();
    }
    if (view.scale < 0.3) return;
    const size = 13 * view.scale, single = data.tasks[at] != null;
    paper.textAlign = "left";
    paper.textBaseline = "middle";
    glyph(x - halfWide + 11 * view.scale, y - 6.5 * view.scale, 4.2 * view.scale, mains[at], paints[mains[at]]);
    paper.fillStyle = paints.text;
    paper.font = `600 ${size}px ${FONT}`;
    paper.fillText(cut(single ? data.apps[data.app[at]] : data.labels[at], 2 * halfWide - 30 * view.scale), x - halfWide + 20 * view.scale, y - 6.5 * view.scale);
    paper.fillStyle = paints.muted;
    paper.font = `${11 * view.scale}px ${FONT}`;
    const under = single ? `task ${data.tasks[at]} · ${label(mains[at])}` : `${number(count)} tasks${data.states[at].failed ? `, ${number(data.states[at].failed)} failed` : ""}`;
    paper.fillText(cut(under, 2 * halfWide - 16 * view.scale), x - halfWide + 9 * view.scale, y + (single ? 8 : 6) * view.scale);
  };
  const cut = (text, width) => {
    if (paper.measureText(text).width <= width) return text;
    let [few, many] = [0, text.length];
    while (few < many) {
      const middle = Math.ceil((few + many) / 2);
      if (paper.measureText(`${text.slice(0, middle)}…`).width <= width) few = middle; else many = middle - 1;
    }
    return `${text.slice(0, few)}…`;
  };
  const trace = (x, y, radius, state) => { // the shapes of the badges: a state is told by form, too
    if (state === "failed") {
      paper.moveTo(x, y - radius * 1.25); paper.lineTo(x + radius * 1.25, y); paper.lineTo(x, y + radius * 1.25); paper.lineTo(x - radius * 1.25, y); paper.closePath();
    } else if (state === "dependency_failed") paper.rect(x - radius * 0.9, y - radius * 0.9, radius * 1.8, radius * 1.8);
    else if (state === "cancelled") paper.rect(x - radius, y - radius * 0.5, radius * 2, radius);
    else { paper.moveTo(x + radius, y); paper.arc(x, y, radius, 0, 2 * Math.PI); }
  };
  const glyph = (x, y, radius, state, paint) => {
    paper.beginPath();
    trace(x, y, radius, state);
    if (state === "waiting") { paper.strokeStyle = paint; paper.lineWidth = Math.max(1, radius / 3); paper.stroke(); } else { paper.fillStyle = paint; paper.fill(); }
  };
  const dotsOf = (isSeen) => {
    const radius = Math.max(1, Math.min(data.width, data.height) * 0.36 * view.scale);
    const groups = new Map();
    data.ids.forEach((_, at) => {
      if (!isSeen(at)) return;
      const key = `${paintOf(at)}|${mains[at]}`;
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(at);
    });
    groups.forEach((members, key) => {
      const [paint, state] = key.split("|");
      paper.beginPath();
      members.forEach((at) => { const [x, y] = toScreen(at); if (radius < 1.6) paper.rect(x - radius, y - radius, 2 * radius, 2 * radius); else trace(x, y, radius, state); });
      if (state === "waiting" && radius > 3) { paper.strokeStyle = paint; paper.lineWidth = Math.max(1, radius / 4); paper.stroke(); } else { paper.fillStyle = paint; paper.fill(); }
    });
    if (view.scale * data.width < 34) return;
    paper.fillStyle = paints.text; // near enough to be read
    paper.font = `${Math.min(11, 3.2 * view.scale)}px ${FONT}`;
    paper.textAlign = "center";
    paper.textBaseline = "top";
    data.ids.forEach((id, at) => { if (isSeen(at)) { const [x, y] = toScreen(at); paper.fillText(data.tasks[at] ?? data.labels[at], x, y + radius + 1); } });
  };
  const mark = () => {
    paper.strokeStyle = paints.accent;
    paper.lineWidth = 2;
    paper.beginPath();
    needs[chosen].slice(0, 2000).forEach((other) => line(other, chosen));
    neededBy[chosen].slice(0, 2000).forEach((other) => line(chosen, other));
    paper.stroke();
    const [x, y] = toScreen(chosen), [wide, high] = half().map((each) => each * view.scale + 3);
    paper.lineWidth = 2.5;
    paper.beginPath();
    paper.roundRect(x - wide, y - high, 2 * wide, 2 * high, Math.min(8, wide));
    paper.stroke();
  };

  // -- Pointer and wheel ----------------------------------------------------------------------------------------------
  const zoom = (factor, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) => {
    const scale = Math.min(8, Math.max(0.01, view.scale * factor));
    view.left = x - (x - view.left) * (scale / view.scale);
    view.top = y - (y - view.top) * (scale / view.scale);
    view.scale = scale;
    isFitted = false;
    redraw();
  };
  const here = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  const under = ([x, y]) => (data ? nodeAt((x - view.left) / view.scale, (y - view.top) / view.scale) : -1);
  const pointers = new Map();
  let pressed = null;
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-Math.max(-60, Math.min(60, event.deltaY)) * (event.ctrlKey ? 0.01 : 0.004)), ...here(event));
  }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, here(event));
    pressed = { at: here(event), hasMoved: pointers.size > 1 };
  });
  canvas.addEventListener("pointermove", (event) => {
    const at = here(event);
    if (!pointers.has(event.pointerId)) { hover(at); return; }
    const before = pointers.get(event.pointerId);
    const others = [...pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
    pointers.set(event.pointerId, at);
    if (others.length) { // two fingers
      const apart = (one, other) => Math.hypot(one[0] - other[0], one[1] - other[1]) || 1;
      zoom(apart(at, others[0]) / apart(before, others[0]), (at[0] + others[0][0]) / 2, (at[1] + others[0][1]) / 2);
      return;
    }
    if (!pressed.hasMoved && Math.hypot(at[0] - pressed.at[0], at[1] - pressed.at[1]) < 5) return;
    pressed.hasMoved = true;
    canvas.classList.add("is-moved");
    view.left += at[0] - before[0];
    view.top += at[1] - before[1];
    isFitted = false;
    tip.hidden = true;
    redraw();
  });
  const released = (event) => {
    pointers.delete(event.pointerId);
    canvas.classList.remove("is-moved");
    const hit = event.type === "pointerup" && pressed && !pressed.hasMoved ? under(here(event)) : -1;
    if (hit >= 0) open(hit, event.ctrlKey || event.metaKey);
    if (!pointers.size) pressed = null;
  };
  canvas.addEventListener("pointerup", released);
  canvas.addEventListener("pointercancel", released);
  canvas.addEventListener("pointerleave", () => { tip.hidden = true; canvas.classList.remove("can-click"); });
  const hover = (at) => {
    const hit = under(at);
    canvas.classList.toggle("can-click", hit >= 0);
    tip.hidden = hit < 0;
    if (hit < 0) return;
    tip.replaceChildren(made("strong", { text: title(hit) }), made("span", { text: statesText(data.states[hit]) }), made("span", { class: "muted", text: `needs ${number(needs[hit].length)}, needed by ${number(neededBy[hit].length)}` }));
    const [wide, high] = [canvas.clientWidth, canvas.clientHeight];
    tip.style.left = `${Math.max(4, Math.min(at[0] + 14, wide - tip.offsetWidth - 4))}px`;
    tip.style.top = `${at[1] + 18 + tip.offsetHeight > high ? at[1] - tip.offsetHeight - 10 : at[1] + 18}px`;
    if (chosen !== hit) { chosen = hit; redraw(); }
  };
  const open = (at, isNew) => { if (isNew) window.open(linkOf(at), "_blank", "noopener"); else location.assign(linkOf(at)); };

  // -- Keys -------------------------------------------------------------------------------------------------------------
  const DIRECTIONS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
  const nearest = ([right, down]) => {
    let best = -1, least = Infinity;
    data.ids.forEach((_, at) => {
      const [x, y] = [(data.x[at] - data.x[chosen]) / data.width, (data.y[at] - data.y[chosen]) / data.height];
      const ahead = x * right + y * down, aside = Math.abs(x * down) + Math.abs(y * right);
      if (ahead <= 0.05) return;
      const away = ahead + 2 * aside;
      if (away < least) { least = away; best = at; }
    });
    return best;
  };
  canvas.addEventListener("keydown", (event) => {
    if (!data || !data.ids.length || event.ctrlKey || event.metaKey || event.altKey) return;
    if (DIRECTIONS[event.key]) {
      const next = chosen < 0 ? 0 : nearest(DIRECTIONS[event.key]);
      if (next >= 0) choose(next);
    } else if (event.key === "Enter" && chosen >= 0) open(chosen, false);
    else if (event.key === "+" || event.key === "=") zoom(1.4);
    else if (event.key === "-") zoom(1 / 1.4);
    else if (event.key === "0") { fit(true); redraw(); }
    else if (event.key === "Escape") { chosen = -1; say(); redraw(); } else return;
    event.preventDefault();
    event.stopPropagation();
  });
  const choose = (at) => {
    chosen = at;
    const [x, y] = toScreen(at), [wide, high] = [canvas.clientWidth, canvas.clientHeight];
    if (x < 40 || x > wide - 40) { view.left += wide / 2 - x; isFitted = false; }
    if (y < 40 || y > high - 40) { view.top += high / 2 - y; isFitted = false; }
    say();
    redraw();
  };

  // -- Tools ------------------------------------------------------------------------------------------------------------
  root.addEventListener("click", (event) => {
    const kind = event.target.closest("[data-zoom]")?.dataset.zoom;
    if (kind === "fit") { fit(true); redraw(); } else if (kind) zoom(kind === "in" ? 1.4 : 1 / 1.4);
  });
  root.addEventListener("change", (event) => {
    if (event.target.name === "group") event.target.form.requestSubmit();
    if (event.target.name === "colour") { colourBy = event.target.value; keys(); redraw(); }
  });
  document.addEventListener("themechange", () => { mix(); if (data) keys(); redraw(); });
  new ResizeObserver(() => { if (isFitted) fit(); redraw(); }).observe(canvas);

  // -- Fetching: a large graph of a live run is asked for less often --------------------------------------------------
  let isLoading = false, isDue = false, readAt = 0, least = 2000;
  const load = async () => {
    if (isLoading || (data && document.hidden)) { isDue = true; return; }
    isLoading = true;
    isDue = false;
    const began = performance.now();
    try {
      const answer = await asked(root.dataset.url);
      take(answer);
    } catch (error) {
      if (!data) words.textContent = `The graph cannot be read now: ${error.message}`;
    }
    readAt = performance.now();
    least = Math.max(2000, 6 * (readAt - began));
    isLoading = false;
    if (isDue) setTimeout(load, least);
  };
  document.addEventListener("cnflow:change", () => {
    if (performance.now() - readAt >= least) { load(); return; }
    if (!isDue) { isDue = true; setTimeout(load, least); }
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden && isDue) load(); });
  mix();
  load();
})();
