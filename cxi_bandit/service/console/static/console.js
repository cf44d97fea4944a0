/* Draws the charts of a page from the numbers that stand beside them, again when the page's part or its light changes. */
"use strict";

(() => {
  const HEIGHT = 240;
  const COLOURS = 8;
  const HOUR = 3600;
  /* How uPlot writes marks of time, from the coarsest to the finest; a new day or year is told below. */
  const MARKS = [
    [365 * 24 * HOUR, "{YYYY}", null, null, null, null, null, null, 1],
    [28 * 24 * HOUR, "{YYYY}-{MM}", null, null, null, null, null, null, 1],
    [24 * HOUR, "{MM}-{DD}", "\n{YYYY}", null, null, null, null, null, 1],
    [60, "{HH}:{mm}", "\n{YYYY}-{MM}-{DD}", null, "\n{MM}-{DD}", null, null, null, 1],
    [1, "{HH}:{mm}:{ss}", "\n{YYYY}-{MM}-{DD}", null, "\n{MM}-{DD}", null, null, null, 1],
  ];
  const drawn = new Map();

  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const colour = (index) => style(`--series-${(index % COLOURS) + 1}`);

  const written = (data) => (value) => {
    if (value === null || value === undefined) return "–";
    if (data.shares) return `${Number((100 * value).toPrecision(3))} %`;
    return value.toLocaleString("en", { maximumSignificantDigits: 4 });
  };

  function axes(data, names) {
    const shared = { stroke: style("--faint"), grid: { stroke: style("--line"), width: 1 }, ticks: { stroke: style("--line") } };
    const across = { ...shared };
    if (data.timed) across.values = MARKS;
    if (names) {
      across.values = (_, marks) => marks.map((mark) => (Number.isInteger(mark) ? names[mark] ?? "" : ""));
      across.splits = () => names.map((_, index) => index);
    }
    const up = { ...shared, size: 70, values: (_, marks) => marks.map(written(data)) };
    if (data.unit) up.label = data.unit;
    return [across, up];
  }

  /* A dot within its interval, for values that nothing runs along. */
  function whiskers(data) {
    return (plot) => {
      const pen = plot.ctx;
      const reach = 6 * devicePixelRatio;
      pen.save();
      pen.lineWidth = 2 * devicePixelRatio;
      data.series.forEach((series, index) => {
        pen.strokeStyle = pen.fillStyle = colour(index);
        series.values.forEach((value, at) => {
          const across = plot.valToPos(at, "x", true);
          const [low, high] = [series.low?.[at], series.high?.[at]];
          pen.beginPath();
          if (typeof low === "number" && typeof high === "number") {
            const [bottom, top] = [low, high].map((end) => plot.valToPos(end, "y", true));
            pen.moveTo(across, bottom);
            pen.lineTo(across, top);
            for (const end of [bottom, top]) {
              pen.moveTo(across - reach, end);
              pen.lineTo(across + reach, end);
            }
          }
          pen.stroke();
          if (value === null) return;
          pen.beginPath();
          pen.arc(across, plot.valToPos(value, "y", true), 0.7 * reach, 0, 2 * Math.PI);
          pen.fill();
        });
      });
      pen.restore();
    };
  }

  function line(series, index, data) {
    const told = { label: series.label, stroke: colour(index), width: 2, spanGaps: false, value: (_, value) => written(data)(value) };
    if (data.kind === "bars") {
      const width = 0.8 / data.series.length;
      told.fill = colour(index);
      told.paths = uPlot.paths.bars({ size: [width, 60], align: data.series.length === 1 ? 0 : index === 0 ? -1 : 1 });
      told.points = { show: false };
    }
    return told;
  }

  function plan(data, width) {
    const names = data.x.some((at) => typeof at === "string") ? data.x : null;
    const columns = [names ? names.map((_, index) => index) : data.x];
    const lines = [{ label: data.over, value: (_, at) => (names ? names[at] ?? "–" : data.timed ? (at === null ? "–" : new Date(1000 * at).toISOString().slice(0, 16).replace("T", " ")) : written({})(at)) }];
    const bands = [];
    const apart = data.kind === "intervals";
    data.series.forEach((series, index) => {
      columns.push(series.values);
      lines.push(line(series, index, data));
      if (apart) Object.assign(lines.at(-1), { paths: () => null, points: { show: false } });
      if (!series.low || !series.high) return;
      for (const [ends, words] of [[series.high, "upper"], [series.low, "lower"]]) {
        columns.push(ends);
        const drawing = apart ? { paths: () => null } : { width: 1, dash: [4, 4] };
        lines.push({ label: `${series.label}, ${words} end`, stroke: colour(index), points: { show: false }, value: (_, value) => written(data)(value), ...drawing });
      }
      if (apart) return;
      bands.push({ series: [columns.length - 2, columns.length - 1], fill: `${colour(index)}22` });
    });
    const options = {
      width, height: HEIGHT, legend: { show: !apart }, series: lines, bands, axes: axes(data, names),
      scales: { x: { time: data.timed, ...along(data, names) }, ...(data.shares ? { y: { range: (_, low, high) => [Math.min(0, low ?? 0), Math.max(high ?? 1, 0.01) * 1.05] } } : {}) },
      hooks: apart ? { draw: [whiskers(data)] } : {},
      tzDate: (at) => uPlot.tzDate(new Date(1000 * at), "Etc/UTC"),
    };
    return [options, columns];
  }

  /* Names stand at whole numbers. A single moment gets an hour on both sides, or uPlot shows years. */
  function along(data, names) {
    if (names) return { range: [-0.6, names.length - 0.4] };
    if (data.x.length !== 1) return {};
    const room = data.timed ? HOUR : 1;
    return { range: [data.x[0] - room, data.x[0] + room] };
  }

  function draw(figure) {
    const source = document.getElementById(figure.dataset.source);
    const place = figure.querySelector(".drawing");
    if (!source || !place || !window.uPlot) return;
    drawn.get(figure)?.destroy();
    place.replaceChildren();
    const [options, columns] = plan(JSON.parse(source.textContent), Math.max(280, place.clientWidth));
    drawn.set(figure, new uPlot(options, columns, place));
  }

  function drawAll(within) {
    for (const figure of drawn.keys()) {
      if (!figure.isConnected) {
        drawn.get(figure).destroy();
        drawn.delete(figure);
      }
    }
    within.querySelectorAll("figure[data-chart]").forEach(draw);
  }

  /* A double click would halt twice, and one lifting would not end it. Whoever stopped the page may send it again. */
  const SENDING = 3000;
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post") return;
    if (form.dataset.sent) event.preventDefault();
    else setTimeout(() => delete form.dataset.sent, SENDING);
    form.dataset.sent = "yes";
  });

  const redraw = () => drawAll(document);
  let waiting = 0;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(redraw, 150);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  document.addEventListener("htmx:afterSettle", (event) => drawAll(event.detail.elt ?? document));
  // Who reads the numbers of a chart is not interrupted by newer ones.
  document.addEventListener("htmx:sseBeforeMessage", (event) => {
    if (event.target.querySelector("details[open]")) event.preventDefault();
  });
  document.addEventListener("htmx:sseMessage", (event) => drawAll(event.detail.elt ?? event.target ?? document));
  redraw();
})();
