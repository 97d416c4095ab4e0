// Charts of the dashboard, drawn by uPlot: <figure class="chart" data-chart="KIND" data-url="...">.
//
//   figure ──fetch──> rows of /api/v1 ──KINDS[kind]──> plots (title, series, columns) ──uPlot──> canvas
//     │ cnflow:change: fetched again; themechange, other width: drawn again          └──> table "Numbers", for readers of screens
//
// window.cnflowCharts has what gantt.js and graph.js share: colours, texts of numbers and times, and the fetching.
(() => {
  "use strict";
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const faded = (value, share) => `color-mix(in srgb, ${value} ${share}%, transparent)`;
  const faint = (value, share) => { // canvas of older browsers does not know color-mix
    const hex = /^#([0-9a-f]{6})$/i.exec(value);
    return hex ? value + Math.round(share * 2.55).toString(16).padStart(2, "0") : faded(value, share);
  };
  const SERIES = [1, 2, 6, 4, 7, 8]; // without the green and the red that mean states
  const appColor = (at) => {
    if (at < SERIES.length) return color(`series-${SERIES[at]}`);
    return `hsl(${(at * 137.5) % 360} 50% ${document.documentElement.dataset.theme === "dark" ? 65 : 42}%)`;
  };
  const number = (value, digits = 1) => value == null ? "–" : value.toLocaleString("en", { maximumFractionDigits: digits });
  const size = (value) => {
    if (value == null) return "–";
    let at = 0;
    while (Math.abs(value) >= 1024 && at < 5) { value /= 1024; at += 1; }
    return `${number(value, value >= 100 ? 0 : 1)} ${["B", "KiB", "MiB", "GiB", "TiB", "PiB"][at]}`;
  };
  const seconds = (value) => {
    if (value == null) return "–";
    if (value === 0) return "0";
    if (value < 1) return `${number(value * 1000, value < 0.01 ? 1 : 0)} ms`;
    if (value < 60) return `${number(value, 1)} s`;
    if (value < 3600) return `${Math.floor(value / 60)} min ${Math.floor(value % 60)} s`;
    return `${Math.floor(value / 3600)} h ${Math.floor((value % 3600) / 60)} min`;
  };
  const clock = (time, withDay = false) => new Date(time * 1000).toLocaleString("en-GB", {
    hour: "2-digit", minute: "2-digit", second: "2-digit", ...(withDay ? { day: "numeric", month: "short" } : {}),
  });
  const made = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    Object.entries(attributes).forEach(([name, value]) => {
      if (name === "text") element.textContent = value; else element.setAttribute(name, value);
    });
    element.append(...children);
    return element;
  };
  const asked = async (url) => {
    const answer = await fetch(url, { cache: "no-store", headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
    return answer.json();
  };
  const rowsOf = (answer) => Array.isArray(answer) ? answer : answer.items ?? answer.steps ?? answer.samples ?? answer.bars ?? [];
  window.cnflowCharts = { appColor, color, faint, number, size, seconds, clock, made, asked, rowsOf };

  // -- Kinds: rows -> plots. A plot has a title, columns (first the x values), series and the text of a value ---------
  const ended = (step) => step.done + step.failed + step.cancelled;
  const lengthOf = (steps) => steps.length > 1 ? Math.max(steps[1].time - steps[0].time, 1e-3) : 1;
  const sums = (list) => { let sum = 0; return list.map((value) => (sum += value)); };

  const progress = ([steps]) => {
    if (!steps.length) return { words: "No task was submitted yet." };
    const length = lengthOf(steps);
    const times = steps.map((step) => step.time);
    if (steps.length === 1) { // a step is drawn from its beginning to its end
      times.push(times[0] + length);
      steps = [steps[0], { submitted: 0, done: 0, failed: 0, cancelled: 0 }];
    }
    const rate = (name) => steps.map((step) => step[name] / length);
    const [done, failed, cancelled] = [rate("done"), rate("failed"), rate("cancelled")];
    const upTo = (...lists) => lists[0].map((_, at) => lists.reduce((sum, list) => sum + list[at], 0));
    const hasAny = (list) => list.some((value) => value > 0);
    const stack = [["done", "state-done", done, upTo(done)]];
    if (hasAny(failed)) stack.push(["failed", "state-failed", failed, upTo(done, failed)]);
    if (hasAny(cancelled)) stack.push(["cancelled", "state-cancelled", cancelled, upTo(done, failed, cancelled)]);
    return { plots: [
      {
        title: "Tasks per second", isTime: true, text: (value) => number(value, 1),
        columns: [times, ...stack.map((each) => each[3]).reverse()], shown: [times, ...stack.map((each) => each[2]).reverse()],
        series: stack.map(([label, paint]) => ({ label, paint, fill: 100, isStepped: true, width: 0 })).reverse(),
      },
      {
        title: "Tasks in all", isTime: true, text: (value) => number(value, 0),
        columns: [times, sums(steps.map((step) => step.submitted)), sums(steps.map(ended))],
        series: [{ label: "submitted", paint: "muted", dash: [5, 4] }, { label: "ended", paint: "accent", fill: 12 }],
      },
    ] };
  };

  const differences = (rows, name) => rows.map((row, at) => {
    const before = rows[at - 1];
    const isSame = before && before.number === row.number && row[name] != null && before[name] != null && row.time > before.time;
    return isSame ? Math.max(0, row[name] - before[name]) / (row.time - before.time) : null;
  });
  const hasValues = (list) => list.some((value) => value != null);
  const resources = (rows, cpu) => {
    if (!rows.length) return { words: "There are no samples: it ended before the first one, or monitoring of resources was off." };
    const times = rows.map((row) => row.time);
    const column = (name) => rows.map((row) => row[name]);
    const plots = [cpu(rows, times), { title: "Memory", isTime: true, text: size, isBytes: true, columns: [times, column("rss_bytes")], series: [{ label: "resident", paint: "series-1", fill: 15 }] }];
    const [read, written] = [differences(rows, "read_bytes"), differences(rows, "written_bytes")];
    if (hasValues(read) || hasValues(written)) plots.push({ title: "Input and output per second", isTime: true, isBytes: true, text: size, columns: [times, read, written], series: [{ label: "read", paint: "series-6", fill: 8 }, { label: "written", paint: "series-2", fill: 8 }] });
    if (hasValues(column("gpu_bytes"))) plots.push({ title: "GPU memory", isTime: true, isBytes: true, text: size, columns: [times, column("gpu_bytes")], series: [{ label: "GPU memory", paint: "series-4", fill: 15 }] });
    if (hasValues(column("gpu_percent"))) plots.push({ title: "GPU use in percent", isTime: true, text: (value) => `${number(value, 0)} %`, columns: [times, column("gpu_percent")], series: [{ label: "GPU", paint: "series-3", fill: 15 }] });
    return { plots: plots.filter((plot) => plot.columns.slice(1).some(hasValues)) };
  };
  const samples = ([rows]) => resources(rows, (list, times) => ({ title: "CPU: cores in use", isTime: true, text: (value) => number(value, 2), columns: [times, differences(list, "cpu_seconds")], series: [{ label: "cores", paint: "series-3", fill: 15 }] }));
  const nodeSamples = ([rows]) => resources(rows, (list, times) => ({ title: "CPU in percent of all cores", isTime: true, text: (value) => `${number(value, 0)} %`, columns: [times, list.map((row) => row.cpu_seconds)], series: [{ label: "CPU", paint: "series-3", fill: 15 }] }));

  const compared = (lists, figure) => {
    const names = JSON.parse(figure.dataset.names);
    const tables = lists.map((steps) => {
      const began = steps.length ? steps[0].time : 0;
      return [[0, ...steps.map((step) => step.time - began + lengthOf(steps))], [0, ...sums(steps.map((step) => step.done))]];
    });
    if (!lists.some((steps) => steps.length)) return { words: "Neither run has tasks." };
    return { plots: [{ title: "Tasks done, by time since the start", text: (value) => number(value, 0), columns: uPlot.join(tables), series: names.map((label, at) => ({ label, paint: at ? "series-2" : "series-1", spansGaps: true })) }] };
  };
  const model = ([steps]) => {
    if (!steps.length) return { words: "No request has come yet." };
    const length = lengthOf(steps);
    const times = steps.map((step) => step.time);
    const rate = (name) => steps.map((step) => step[name] / length);
    const answered = steps.map((step) => (step.requests - step.errors - step.refused) / length);
    const column = (name) => steps.map((step) => step[name]);
    const plots = [
      { title: "Requests per second", isTime: true, text: (value) => number(value, 1), columns: [times, answered, rate("errors"), rate("refused")], series: [{ label: "answered", paint: "state-done", fill: 15 }, { label: "errors", paint: "state-failed", fill: 15 }, { label: "refused", paint: "state-cancelled", fill: 15 }] },
      { title: "Latency", isTime: true, text: seconds, columns: [times, column("latency_p50"), column("latency_p99")], series: [{ label: "50 of 100", paint: "series-1", spansGaps: true }, { label: "99 of 100", paint: "series-2", spansGaps: true }] },
      { title: "Rows a batch", isTime: true, text: (value) => number(value, 1), columns: [times, steps.map((step) => step.batches ? step.rows / step.batches : null)], series: [{ label: "rows", paint: "series-6", spansGaps: true }] },
      { title: "Calls", isTime: true, text: (value) => number(value, 0), columns: [times, column("in_flight"), column("waiting")], series: [{ label: "running", paint: "state-running", spansGaps: true }, { label: "waiting", paint: "state-waiting", spansGaps: true }] },
    ];
    return { plots: plots.filter((plot) => plot.columns.slice(1).some(hasValues)) };
  };
  const KINDS = { progress, model, samples, "node-samples": nodeSamples, compared };

  // -- Drawing --------------------------------------------------------------------------------------------------------
  const axes = (plot) => {
    const look = { stroke: color("muted"), grid: { stroke: color("line"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    const steps = plot.isBytes ? Array.from({ length: 50 }, (_, at) => 2 ** at) : undefined;
    return [
      { ...look, grid: { show: false }, space: 58, size: 30, ...(plot.isTime ? { values: times } : { values: (_, splits) => splits.map(seconds) }) },
      { ...look, size: plot.isBytes ? 74 : 62, ...(steps ? { incrs: steps } : {}), values: (_, splits) => splits.map(plot.text) },
    ];
  };
  const times = (self, splits, _axis, _space, step) => splits.map((time) => step < 1
    ? `${clock(time)}.${String(Math.round((time % 1) * 1000)).padStart(3, "0")}`
    : step < 60 ? clock(time) : step < 43200 ? clock(time).slice(0, 5) : new Date(time * 1000).toLocaleDateString("en-GB", { day: "numeric", month: "short" }));
  const LEAST_SECONDS = 5; // labels of parts of a second would lie on each other
  const wide = (least, most) => {
    const missing = Math.max(0, LEAST_SECONDS - (most - least)) / 2;
    return [least - missing, most + missing];
  };
  const optionsOf = (plot, width) => ({
    width, height: 200, axes: axes(plot), padding: [8, 28, 0, 0],
    cursor: { points: { size: 6 }, sync: plot.isTime ? { key: "time" } : undefined, drag: { x: true, y: false } },
    scales: { x: { time: plot.isTime ?? false, ...(plot.isTime ? { range: (_, least, most) => wide(least, most) } : {}) }, y: { range: (_, __, most) => [0, most > 0 ? most * 1.08 : 1] } },
    series: [
      { label: "time", value: (_, value) => value == null ? "–" : plot.isTime ? clock(value, true) : seconds(value) },
      ...plot.series.map((each, at) => ({
        label: each.label, stroke: color(each.paint), width: each.width ?? 2, dash: each.dash, spanGaps: each.spansGaps ?? false,
        fill: each.fill ? faint(color(each.paint), each.fill) : undefined,
        points: { show: plot.columns[0].length < 2 || (plot.columns[0].length < 40 && !each.isStepped) },
        ...(each.isStepped ? { paths: uPlot.paths.stepped({ align: 1 }) } : {}),
        value: (_, value, __, index) => index == null ? "–" : plot.text((plot.shown ?? plot.columns)[at + 1][index]),
      })),
    ],
  });
  const TABLE_ROWS = 200;
  const numbers = (plots) => {
    const details = made("details", {}, made("summary", { text: "Numbers" }));
    details.addEventListener("toggle", () => { // a table of hundreds of rows is made once it is asked for
      if (!details.open || details.children.length > 1) return;
      plots.forEach((plot) => {
        const columns = plot.shown ?? plot.columns;
        const every = Math.max(1, Math.ceil(columns[0].length / TABLE_ROWS));
        const head = made("tr", {}, made("th", { scope: "col", text: plot.isTime ? "Time" : "Since the start" }), ...plot.series.map((each) => made("th", { scope: "col", text: each.label })));
        const body = made("tbody");
        columns[0].forEach((time, at) => {
          if (at % every) return;
          body.append(made("tr", {}, made("td", { text: plot.isTime ? clock(time, true) : seconds(time) }), ...columns.slice(1).map((column) => made("td", { text: column[at] == null ? "–" : plot.text(column[at]) }))));
        });
        details.append(made("h3", { text: plot.title }), made("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": plot.title }, made("table", {}, made("thead", {}, head), body)));
      });
    });
    return details;
  };

  class Chart {
    constructor(figure) {
      this.figure = figure;
      this.drawn = [];
      this.answer = "";
      this.width = 0;
      this.urls = (figure.dataset.urls ?? figure.dataset.url).trim().split(/\s+/);
      figure.setAttribute("role", "group");
      new ResizeObserver(() => this.resize()).observe(figure);
    }

    async load() {
      if (this.isLoading || !this.figure.isConnected) return;
      this.isLoading = true;
      try {
        const lists = (await Promise.all(this.urls.map(asked))).map(rowsOf);
        const answer = JSON.stringify(lists);
        if (answer !== this.answer) { this.answer = answer; this.lists = lists; this.draw(); }
      } catch (error) {
        if (!this.lists) this.figure.replaceChildren(made("div", { class: "words", text: `These numbers cannot be read now: ${error.message}` }));
      }
      this.isLoading = false;
    }

    draw() {
      if (!this.lists) return;
      const result = KINDS[this.figure.dataset.chart](this.lists, this.figure);
      const wasOpen = this.figure.querySelector("details")?.open;
      this.drawn.forEach((each) => each.destroy());
      this.drawn = [];
      if (!result.plots?.length) { this.figure.replaceChildren(made("div", { class: "words", text: result.words ?? "There are no samples yet." })); return; }
      const grid = made("div", { class: "plots" });
      const places = result.plots.map((plot) => {
        const space = made("div", { class: "space", "aria-hidden": "true" });
        grid.append(made("div", { class: "plot" }, made("h3", { text: plot.title }), space));
        return space;
      });
      const details = numbers(result.plots);
      this.figure.replaceChildren(grid, details);
      this.drawn = result.plots.map((plot, at) => new uPlot(optionsOf(plot, Math.max(places[at].clientWidth, 200)), plot.columns, places[at]));
      if (wasOpen) details.open = true;
      this.figure.dataset.drawn = String(this.drawn.length);
    }

    resize() {
      if (this.figure.clientWidth === this.width) return;
      this.width = this.figure.clientWidth;
      this.drawn.forEach((each) => each.setSize({ width: Math.max(each.root.parentElement.clientWidth, 200), height: 200 }));
    }
  }

  const charts = [...document.querySelectorAll("figure.chart[data-chart]")].map((figure) => new Chart(figure));
  charts.forEach((chart) => chart.load());
  document.addEventListener("cnflow:change", () => charts.forEach((chart) => chart.load()));
  document.addEventListener("themechange", () => charts.forEach((chart) => chart.draw()));
})();
