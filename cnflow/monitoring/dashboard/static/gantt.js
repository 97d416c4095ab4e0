// What each worker did over time: <figure class="chart gantt" data-url=".../bars" data-task-url="...">.
//
//   bars of /api/v1 between start and end ──rows by manager and worker──> canvas: names, axis of time, bars
//   drag a range, wheel, keys, buttons ──> other start and end ──> fetched anew: short tries put together come apart
(() => {
  "use strict";
  const { appColor, color, number, seconds, clock, made, asked, rowsOf } = window.cnflowCharts;
  const STATES = ["done", "running", "staging_in", "staging_out", "failed", "cancelled"];
  const LABELS = { staging_in: "staging in", staging_out: "staging out" };
  const FONT = "system-ui, 'DejaVu Sans', sans-serif";
  const AXIS = 24;
  const MOST_HIGH = 8000;
  const LEAST_RANGE = 0.001;

  class Gantt {
    constructor(figure) {
      this.figure = figure;
      this.began = Number(figure.dataset.began);
      this.range = null; // null: from the begin of the run to its end
      this.bars = null;
      this.chosen = -1;
      this.colourBy = "app";
      this.make();
      this.load();
    }

    make() {
      const choice = (value, words, isChecked) => {
        const input = made("input", { type: "radio", name: `colour-${Gantt.count}`, value });
        input.checked = isChecked;
        input.addEventListener("change", () => { this.colourBy = value; this.draw(); });
        return made("label", { class: "choice" }, input, made("span", { text: words }));
      };
      Gantt.count += 1;
      const button = (text, words, act) => {
        const element = made("button", { type: "button", class: "button", title: words, "aria-label": words, text });
        element.addEventListener("click", act);
        return element;
      };
      this.canvas = made("canvas", { tabindex: "0", role: "application", "aria-label": `${this.figure.getAttribute("aria-label")}. Arrow keys go from bar to bar, Enter opens one, plus and minus zoom, 0 shows all.` });
      this.paper = this.canvas.getContext("2d");
      this.tip = made("div", { class: "tip", hidden: "" });
      this.board = made("div", { class: "board" }, this.canvas, this.tip);
      this.keys = made("ul", { class: "keys" });
      this.words = made("p", { class: "muted small", role: "status", text: "The bars are loading." });
      const tools = made("div", { class: "tools" },
        made("fieldset", {}, made("legend", { text: "Coloured by" }), choice("app", "app", true), choice("state", "state", false)),
        made("span", { class: "spacer" }),
        button("+", "Nearer", () => this.zoom(0.5)), button("−", "Farther", () => this.zoom(2)), button("All", "The whole run", () => this.show(null)));
      this.figure.setAttribute("role", "group");
      this.figure.replaceChildren(tools, this.board, this.keys, this.words);
      new ResizeObserver(() => { if (this.canvas.clientWidth !== this.wide) this.draw(); }).observe(this.board);
      this.listen();
    }

    async load() {
      if (this.isLoading) { this.isDue = true; return; }
      this.isLoading = true;
      const url = new URL(this.figure.dataset.url, location.href);
      if (this.range) { url.searchParams.set("start", this.range[0]); url.searchParams.set("end", this.range[1]); }
      try {
        const rows = rowsOf(await asked(url));
        const isOld = !this.range !== !url.searchParams.has("start");
        if (!isOld) this.take(rows);
      } catch (error) {
        if (!this.bars) this.words.textContent = `The bars cannot be read now: ${error.message}`;
      }
      this.isLoading = false;
      if (this.isDue) { this.isDue = false; this.load(); }
    }

    take(bars) {
      this.bars = bars;
      const keyOf = (bar) => `${bar.host}\n${bar.manager}\n${String(bar.worker).padStart(6, "0")}`;
      const keys = [...new Set(bars.map(keyOf))].sort((one, other) => one.localeCompare(other, "en", { numeric: true }));
      const at = new Map(keys.map((key, index) => [key, index]));
      const managers = new Map();
      keys.forEach((key) => { const [host, manager] = key.split("\n"); managers.set(host, (managers.get(host) ?? new Set()).add(manager)); });
      this.rows = keys.map((key) => {
        const [host, manager, worker] = key.split("\n");
        return `${host}${managers.get(host).size > 1 ? ` ${manager.slice(0, 6)}` : ""} · ${Number(worker)}`;
      });
      this.rowOf = bars.map((bar) => at.get(keyOf(bar)));
      const counts = new Map();
      bars.forEach((bar) => counts.set(bar.app, (counts.get(bar.app) ?? 0) + bar.end - bar.start));
      const known = this.apps ?? []; // an app keeps its colour while the run goes on
      this.apps = [...known, ...[...counts.keys()].filter((app) => !known.includes(app)).sort((one, other) => counts.get(other) - counts.get(one))];
      this.chosen = -1;
      this.all = [Math.min(...bars.map((bar) => bar.start)), Math.max(...bars.map((bar) => bar.end))];
      if (!bars.length) this.all = [this.began, Number(this.figure.dataset.ended) || this.began + 1];
      if (this.all[1] - this.all[0] < LEAST_RANGE) this.all[1] = this.all[0] + LEAST_RANGE;
      if (!this.range) this.whole = this.all;
      this.draw();
    }

    get shown() { return this.range ?? this.whole ?? this.all; }

    show(range) {
      if (range) {
        const [least, most] = this.whole ?? this.all;
        const width = Math.max(LEAST_RANGE, Math.min(range[1] - range[0], most - least));
        const start = Math.min(Math.max(range[0], least), most - width);
        range = width >= (most - least) * 0.999 ? null : [start, start + width];
      }
      this.range = range;
      this.draw();
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.load(), 150);
    }

    zoom(factor, middle) {
      const [start, end] = this.shown;
      const at = middle ?? (start + end) / 2;
      this.show([at - (at - start) * factor, at + (end - at) * factor]);
    }

    // -- Drawing ------------------------------------------------------------------------------------------------------
    get gutter() { return Math.min(190, Math.max(84, this.wide * 0.17)); }

    draw() {
      if (!this.bars) return;
      const count = Math.max(this.rows.length, 1);
      const rowHigh = count <= 60 ? 20 : count <= 400 ? 14 : Math.max(2, Math.min(10, MOST_HIGH / count));
      const dots = window.devicePixelRatio || 1;
      this.wide = this.board.clientWidth;
      this.rowHigh = rowHigh;
      const high = AXIS + Math.max(count * rowHigh, 60) + 4;
      this.canvas.style.height = `${high}px`;
      this.canvas.width = Math.round(this.wide * dots);
      this.canvas.height = Math.round(high * dots);
      const paper = this.paper;
      paper.setTransform(dots, 0, 0, dots, 0, 0);
      paper.clearRect(0, 0, this.wide, high);
      this.drawRows(high);
      this.drawAxis(high);
      this.drawBars();
      this.say();
      this.figure.dataset.drawn = String(this.bars.length);
    }

    drawRows(high) {
      const { paper } = this;
      paper.fillStyle = color("soft");
      this.rows.forEach((_, row) => { if (row % 2) paper.fillRect(0, AXIS + row * this.rowHigh, this.wide, this.rowHigh); });
      const every = Math.ceil(12 / this.rowHigh);
      paper.fillStyle = color("muted");
      paper.font = `11px ${FONT}`;
      paper.textBaseline = "middle";
      paper.textAlign = "left";
      paper.save();
      paper.beginPath();
      paper.rect(0, 0, this.gutter - 6, high);
      paper.clip();
      this.rows.forEach((name, row) => { if (row % every === 0) paper.fillText(this.cut(name, this.gutter - 14), 8, AXIS + (row + 0.5) * this.rowHigh); });
      paper.restore();
    }

    cut(text, width) { // the end of a host's name and the worker tell rows apart
      if (this.paper.measureText(text).width <= width) return text;
      let from = 1;
      while (from < text.length - 4 && this.paper.measureText(`…${text.slice(from)}`).width > width) from += 1;
      return `…${text.slice(from)}`;
    }

    place(bar) {
      const [start, end] = this.shown;
      const perSecond = (this.wide - this.gutter - 8) / (end - start);
      return [this.gutter + (bar.start - start) * perSecond, this.gutter + (bar.end - start) * perSecond];
    }

    paintOf(bar) {
      if (this.colourBy === "state") return color(`state-${bar.state}`) || color("muted");
      return appColor(this.apps.indexOf(bar.app));
    }

    drawBars() {
      const { paper } = this;
      const paints = new Map();
      paper.save();
      paper.beginPath();
      paper.rect(this.gutter, AXIS, this.wide - this.gutter, this.canvas.clientHeight);
      paper.clip();
      this.bars.forEach((bar, at) => {
        const key = this.colourBy === "state" ? bar.state : bar.app;
        if (!paints.has(key)) paints.set(key, this.paintOf(bar));
        const [left, right] = this.place(bar);
        const top = AXIS + this.rowOf[at] * this.rowHigh + (this.rowHigh > 8 ? 2 : 0.5);
        const high = this.rowHigh - (this.rowHigh > 8 ? 4 : 1);
        const wide = Math.max(right - left - (right - left > 4 ? 1 : 0), 1);
        paper.fillStyle = paints.get(key);
        paper.globalAlpha = bar.count > 1 ? 0.75 : 1;
        paper.fillRect(left, top, wide, high);
        paper.globalAlpha = 1;
        if (bar.state === "failed" && high >= 8 && wide > 3) { // a failure is told by form, too
          paper.strokeStyle = color("bad");
          paper.lineWidth = 2;
          paper.strokeRect(left + 1, top + 1, wide - 2, high - 2);
        }
        if (at === this.chosen) {
          paper.strokeStyle = color("fg");
          paper.lineWidth = 2;
          paper.strokeRect(left - 1, top - 1, wide + 2, high + 2);
        }
      });
      paper.restore();
    }

    drawAxis(high) {
      const { paper } = this;
      const [start, end] = this.shown;
      const room = this.wide - this.gutter;
      const least = ((end - start) / room) * 90;
      const step = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800].find((each) => each >= least) ?? 2592000;
      paper.strokeStyle = color("line");
      paper.lineWidth = 1;
      paper.fillStyle = color("muted");
      paper.font = `11px ${FONT}`;
      paper.textBaseline = "middle";
      paper.textAlign = "center";
      paper.beginPath();
      for (let time = Math.ceil(start / step) * step; time <= end; time += step) {
        const x = this.place({ start: time, end: time })[0];
        paper.moveTo(x, AXIS - 5);
        paper.lineTo(x, high);
        const text = step < 1 ? `${clock(time)}${(time % 1).toFixed(3).slice(1)}` : step < 60 ? clock(time) : clock(time, step >= 86400).slice(0, step >= 86400 ? 6 : 5);
        const half = paper.measureText(text).width / 2;
        if (x - half > this.gutter - 20 && x + half < this.wide) paper.fillText(text, x, AXIS / 2 - 2);
      }
      paper.moveTo(0, AXIS + 0.5);
      paper.lineTo(this.wide, AXIS + 0.5);
      paper.moveTo(this.gutter - 0.5, 0);
      paper.lineTo(this.gutter - 0.5, high);
      paper.stroke();
    }

    say() {
      const shownKeys = this.colourBy === "app"
        ? this.apps.slice(0, 24).map((app) => [app, this.paintOf({ app })])
        : STATES.filter((state) => this.bars.some((bar) => bar.state === state)).map((state) => [LABELS[state] ?? state, color(`state-${state}`)]);
      this.keys.replaceChildren(...shownKeys.map(([text, paint]) => {
        const swatch = made("span", { class: "swatch" });
        swatch.style.background = paint;
        return made("li", { title: text }, swatch, made("span", { text }));
      }));
      if (!this.bars.length) { this.words.textContent = "No worker has run a task in this time."; return; }
      if (this.chosen >= 0) { this.words.textContent = `${this.text(this.bars[this.chosen]).join(", ")}. Enter opens it.`; return; }
      const [start, end] = this.shown;
      const busy = this.bars.reduce((sum, bar) => sum + Math.max(0, Math.min(bar.end, end) - Math.max(bar.start, start)), 0);
      const tries = this.bars.reduce((sum, bar) => sum + (bar.count ?? 1), 0);
      const share = Math.min(100, (100 * busy) / ((end - start) * this.rows.length));
      this.words.textContent = `${number(this.rows.length)} workers, ${number(tries)} tries, ${number(share, 0)} % busy between ${clock(start, true)} and ${clock(end, true)}. Drag over a range to see it nearer.`;
    }

    text(bar) {
      const head = bar.count > 1 ? `${number(bar.count)} tries, from task ${bar.task} on (${bar.app})` : `Task ${bar.task} (${bar.app})`;
      return [head, `${LABELS[bar.state] ?? bar.state}, ${seconds(bar.end - bar.start)} from ${clock(bar.start)}`, `${bar.host}, worker ${bar.worker}`];
    }

    // -- Pointer and keys -----------------------------------------------------------------------------------------------
    timeAt(x) {
      const [start, end] = this.shown;
      return start + ((x - this.gutter) / (this.wide - this.gutter - 8)) * (end - start);
    }

    under(x, y) {
      const row = Math.floor((y - AXIS) / this.rowHigh);
      let best = -1, least = 4; // a bar that is narrower than a pixel can be hit, too
      this.bars?.forEach((bar, at) => {
        if (this.rowOf[at] !== row) return;
        const [left, right] = this.place(bar);
        const away = x < left ? left - x : x > right ? x - right : 0;
        if (away < least) { least = away; best = at; }
      });
      return x < this.gutter ? -1 : best;
    }

    open(at) {
      const bar = this.bars[at];
      if (bar.count > 1) { const margin = (bar.end - bar.start) * 0.1; this.show([bar.start - margin, bar.end + margin]); } else location.assign(this.figure.dataset.taskUrl + bar.task);
    }

    listen() {
      const { canvas } = this;
      const here = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
      let pressed = null;
      canvas.addEventListener("pointerdown", (event) => {
        if (event.pointerType === "mouse") { canvas.setPointerCapture(event.pointerId); pressed = here(event); } else pressed = null;
      });
      canvas.addEventListener("pointermove", (event) => {
        const [x, y] = here(event);
        if (pressed && Math.abs(x - pressed[0]) > 5) {
          this.draw();
          this.paper.fillStyle = color("accent");
          this.paper.globalAlpha = 0.18;
          this.paper.fillRect(Math.min(x, pressed[0]), AXIS, Math.abs(x - pressed[0]), canvas.clientHeight);
          this.paper.globalAlpha = 1;
          return;
        }
        const hit = this.under(x, y);
        canvas.classList.toggle("can-click", hit >= 0);
        this.tip.hidden = hit < 0;
        if (hit < 0) return;
        const [head, ...more] = this.text(this.bars[hit]);
        this.tip.replaceChildren(made("strong", { text: head }), ...more.map((text) => made("span", { class: "muted", text })));
        this.tip.style.left = `${Math.max(4, Math.min(x + 14, this.wide - this.tip.offsetWidth - 4))}px`;
        this.tip.style.top = `${y + 16 + this.tip.offsetHeight > this.board.clientHeight + this.board.scrollTop ? y - this.tip.offsetHeight - 8 : y + 16}px`;
      });
      canvas.addEventListener("click", (event) => {
        const [x, y] = here(event), from = pressed;
        pressed = null;
        if (from && Math.abs(x - from[0]) > 5) { this.show([this.timeAt(Math.min(x, from[0])), this.timeAt(Math.max(x, from[0]))]); return; }
        const hit = this.under(x, y);
        if (hit >= 0) this.open(hit);
      });
      canvas.addEventListener("dblclick", () => this.show(null));
      canvas.addEventListener("pointerleave", () => { this.tip.hidden = true; });
      canvas.addEventListener("wheel", (event) => {
        if (!event.ctrlKey && !event.metaKey) return; // the wheel alone scrolls the page
        event.preventDefault();
        this.zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) * 0.01), this.timeAt(here(event)[0]));
      }, { passive: false });
      canvas.addEventListener("keydown", (event) => this.key(event));
    }

    key(event) {
      if (!this.bars?.length || event.ctrlKey || event.metaKey || event.altKey) return;
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step) this.choose(this.beside(step));
      else if (event.key === "ArrowDown" || event.key === "ArrowUp") this.choose(this.otherRow(event.key === "ArrowDown" ? 1 : -1));
      else if (event.key === "Enter" && this.chosen >= 0) this.open(this.chosen);
      else if (event.key === "+" || event.key === "=") this.zoom(0.5);
      else if (event.key === "-") this.zoom(2);
      else if (event.key === "0") this.show(null);
      else return;
      event.preventDefault();
      event.stopPropagation();
    }

    choose(at) {
      if (at < 0) return;
      this.chosen = at;
      this.draw();
      this.board.scrollTop = Math.max(0, AXIS + this.rowOf[at] * this.rowHigh - this.board.clientHeight / 2);
    }

    inRow(row) {
      return this.bars.map((_, at) => at).filter((at) => this.rowOf[at] === row).sort((one, other) => this.bars[one].start - this.bars[other].start);
    }

    beside(step) {
      if (this.chosen < 0) return this.inRow(0)[0];
      const row = this.inRow(this.rowOf[this.chosen]);
      return row[row.indexOf(this.chosen) + step] ?? this.chosen;
    }

    otherRow(step) {
      if (this.chosen < 0) return this.inRow(0)[0];
      const time = this.bars[this.chosen].start;
      const row = this.inRow(this.rowOf[this.chosen] + step);
      return row.reduce((best, at) => (best < 0 || Math.abs(this.bars[at].start - time) < Math.abs(this.bars[best].start - time) ? at : best), -1);
    }
  }
  Gantt.count = 0;

  const all = [...document.querySelectorAll("figure.gantt")].map((figure) => new Gantt(figure));
  document.addEventListener("cnflow:change", () => all.forEach((each) => { if (!each.range) each.load(); }));
  document.addEventListener("themechange", () => all.forEach((each) => each.draw()));
})();
