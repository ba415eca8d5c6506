// Counts over time as lines of SVG: a small one for each finding and process, a large one to compare.

/** A round number of at least a quarter of the largest: the distance of the grid's lines. */
function step(largest) {
  const rough = Math.max(largest, 1) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = [1, 2, 5, 10].find((factor) => factor * power >= rough);
  return Math.max(1, factor * power);
}

/** Distance of the marks of a time axis: seconds, minutes or hours that are round. */
function timeStep(span, most) {
  const round = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400];
  return round.find((seconds) => span / seconds <= most) ?? Math.ceil(span / most / DAY) * DAY;
}

function scaled(points, x, y) {
  return points.map(([seconds, count], at) => `${at ? "L" : "M"}${x(seconds).toFixed(1)} ${y(count).toFixed(1)}`).join("");
}

const endOf = (points) => (points.length ? points[points.length - 1] : [0, 0]);

/** Says a line in words, for those who do not see it. */
function inWords(points) {
  const [from, to] = [points[0], endOf(points)];
  return `from ${number(from[1])} at ${duration(from[0])} to ${number(to[1])} at ${duration(to[0])}`;
}

/** A limit further away than this many times what is held would press the line flat: it is only told. */
const NEAR = 5;

/** A line without axes, its area filled; nothing where there are fewer than two points. With a limit near, that is a
    line too; with a scale, its units are below it. */
function sparkline(points, label, { width = 220, height = 56, limit = null, scale = false } = {}) {
  if (points.length < 2) return null;
  const span = Math.max(report.window.seconds, endOf(points)[0]) || 1;
  const most = Math.max(...points.map(([, count]) => count), 1);
  const near = limit && limit.soft <= most * NEAR;
  const largest = near ? Math.max(most, limit.soft) : most;
  const x = (seconds) => 2 + (seconds / span) * (width - 8);
  const y = (count) => height - 2 - (count / largest) * (height - 8);
  const line = scaled(points, x, y);
  const [lastTime, last] = endOf(points);
  const area = `${line}L${x(lastTime).toFixed(1)} ${height - 2}L${x(points[0][0]).toFixed(1)} ${height - 2}Z`;
  const words = `${label}: ${inWords(points)}${limit ? `; the limit is ${number(limit.soft)} (${limit.resource})` : ""}`;
  const svg = makeSvg("svg.spark", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": words },
    makeSvg("title", words),
    makeSvg("path.base", { d: `M2 ${height - 1.5}H${width - 6}` }),
    near && makeSvg("path.limit", { d: `M2 ${y(limit.soft).toFixed(1)}H${width - 6}` }),
    makeSvg("path.area", { d: area }),
    makeSvg("path.line", { d: line }),
    makeSvg("circle.end", { cx: x(lastTime).toFixed(1), cy: y(last).toFixed(1), r: 2.5 }));
  if (!scale) return svg;
  return make("figure.scaled", svg, make("figcaption", `0 to ${number(most)} ${label}, 0 to ${duration(span)}`,
    limit && make(`span${near ? ".near" : ""}`, `; limit ${number(limit.soft)} (${limit.resource})`)));
}

/** `top` is that of the plot: marks and the unit stand above it, each mark in a row of its own. */
const MARGIN = { left: 58, right: 16, top: 20, bottom: 40 };
const MARK_ROW = 14;

/** Lines with axes, a legend and a reading at the pointer. `series`: name, link and points each; `marks`: times and
    names; `limits`: names and amounts; `unit`: what is counted. */
function lineChart(series, { marks, limits, unit }, width, label) {
  MARGIN.top = 22 + marks.length * MARK_ROW;
  const height = 260 + marks.length * MARK_ROW;
  const span = Math.max(report.window.seconds, ...series.map(({ points }) => endOf(points)[0])) || 1;
  const most = Math.max(1, ...series.flatMap(({ points }) => points.map(([, count]) => count)));
  const near = limits.filter(({ amount }) => amount <= most * NEAR);
  const largest = Math.max(most, ...near.map(({ amount }) => amount));
  const grid = step(largest);
  const top = Math.ceil(largest / grid) * grid;
  const x = (seconds) => MARGIN.left + (seconds / span) * (width - MARGIN.left - MARGIN.right);
  const y = (count) => height - MARGIN.bottom - (count / top) * (height - MARGIN.top - MARGIN.bottom);
  const svg = makeSvg("svg.chart", { viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: 0, "aria-label": label },
    axes(x, y, { span, top, grid, width, height, unit }),
    near.map(({ name, amount }) => makeSvg("g.limit-line",
      makeSvg("path", { d: `M${MARGIN.left} ${y(amount).toFixed(1)}H${width - MARGIN.right}` }),
      makeSvg("text", { x: MARGIN.left + 4, y: (y(amount) + 14).toFixed(1) }, name))),
    marks.map(({ seconds, name }, row) => makeSvg("g.mark",
      makeSvg("title", `${name} after ${duration(seconds)}`),
      makeSvg("path", { d: `M${x(seconds).toFixed(1)} ${20 + row * MARK_ROW}V${height - MARGIN.bottom}` }),
      makeSvg("text", { x: (x(seconds) + (x(seconds) > width / 2 ? -4 : 4)).toFixed(1), y: 30 + row * MARK_ROW,
        "text-anchor": x(seconds) > width / 2 ? "end" : "start" }, name))),
    series.map(({ points }, at) => makeSvg(`g.series.color-${at}`,
      makeSvg("path.line", { d: scaled(points, x, y) }),
      makeSvg("circle.end", { cx: x(endOf(points)[0]).toFixed(1), cy: y(endOf(points)[1]).toFixed(1), r: 3 }))));
  const legend = make("ul.legend", series.map(({ name, points, link }, at) => make("li",
    make(`span.swatch.color-${at}`), link ? link() : make("span.name", name), make("span.value", number(endOf(points)[1])))));
  const figure = make("figure.lines", svg, legend);
  readings(svg, figure, series, { x, y, span, width, height });
  return figure;
}

function axes(x, y, { span, top, grid, width, height, unit }) {
  const lines = [makeSvg("text.unit", { x: 4, y: 12 }, unit),
    makeSvg("text.unit", { x: width - MARGIN.right, y: height - 6, "text-anchor": "end" }, "time since the trace began")];
  for (let count = 0; count <= top; count += grid) {
    lines.push(makeSvg("path.grid", { d: `M${MARGIN.left} ${y(count).toFixed(1)}H${width - MARGIN.right}` }),
      makeSvg("text.tick", { x: MARGIN.left - 8, y: y(count) + 4, "text-anchor": "end" }, number(count)));
  }
  const between = timeStep(span, width / 90);
  for (let mark = 0; mark * between <= span * 1.001; mark += 1) {
    const seconds = mark * between;
    lines.push(makeSvg("text.tick", { x: x(seconds), y: height - 23, "text-anchor": "middle" },
      seconds ? duration(seconds).replace(".0s", "s") : "0"));
  }
  return lines;
}

/** The value of a line at a time: that of its last point before. */
function at(points, seconds) {
  let value = null;
  for (const [time, count] of points) {
    if (time > seconds + 1e-9) break;
    value = count;
  }
  return value;
}

/** Shows all values at the pointer, or at the place that the arrow keys have moved to. */
function readings(svg, figure, series, { x, y, span, width, height }) {
  const times = [...new Set(series.flatMap(({ points }) => points.map(([time]) => time)))].sort((a, b) => a - b);
  if (!times.length) return;
  const rule = makeSvg("path.rule", { visibility: "hidden" });
  svg.append(rule);
  const box = make("div.reading", { hidden: true });
  figure.append(box);
  let chosen = times.length;
  const show = (index) => {
    chosen = Math.min(Math.max(index, 0), times.length - 1);
    const time = times[chosen];
    rule.setAttribute("d", `M${x(time).toFixed(1)} ${MARGIN.top}V${height - MARGIN.bottom}`);
    rule.setAttribute("visibility", "visible");
    fill(box, make("p", duration(time)), series.map(({ name, points }, place) => {
      const value = at(points, time);
      return value === null ? null
        : make("p", make(`span.swatch.color-${place}`), make("span.name", name), make("span.value", number(value)));
    }));
    box.hidden = false;
    const left = (x(time) / width) * svg.clientWidth;
    box.style.left = left > svg.clientWidth / 2 ? "" : `${left + 14}px`;
    box.style.right = left > svg.clientWidth / 2 ? `${svg.clientWidth - left + 14}px` : "";
  };
  const hide = () => {
    box.hidden = true;
    rule.setAttribute("visibility", "hidden");
  };
  svg.addEventListener("pointermove", (event) => {
    const bounds = svg.getBoundingClientRect();
    const inside = ((event.clientX - bounds.left) / bounds.width) * width;
    const seconds = ((inside - MARGIN.left) / (width - MARGIN.left - MARGIN.right)) * span;
    let nearest = 0;
    for (const [index, time] of times.entries()) {
      if (Math.abs(time - seconds) < Math.abs(times[nearest] - seconds)) nearest = index;
    }
    show(nearest);
  });
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("blur", hide);
  svg.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (move === undefined) return;
    event.preventDefault();
    show(chosen + move);
  });
}
