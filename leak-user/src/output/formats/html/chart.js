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

/** A line without axes, its area filled; nothing where there are fewer than two points. */
function sparkline(points, label, width = 220, height = 56) {
  if (points.length < 2) return null;
  const span = Math.max(report.window.seconds, endOf(points)[0]) || 1;
  const largest = Math.max(...points.map(([, count]) => count), 1);
  const x = (seconds) => 2 + (seconds / span) * (width - 8);
  const y = (count) => height - 2 - (count / largest) * (height - 8);
  const line = scaled(points, x, y);
  const [lastTime, last] = endOf(points);
  const area = `${line}L${x(lastTime).toFixed(1)} ${height - 2}L${x(points[0][0]).toFixed(1)} ${height - 2}Z`;
  return makeSvg("svg.spark", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${label}: ${inWords(points)}` },
    makeSvg("title", `${label}: ${inWords(points)}`),
    makeSvg("path.base", { d: `M2 ${height - 1.5}H${width - 6}` }),
    makeSvg("path.area", { d: area }),
    makeSvg("path.line", { d: line }),
    makeSvg("circle.end", { cx: x(lastTime).toFixed(1), cy: y(last).toFixed(1), r: 2.5 }));
}

const MARGIN = { left: 52, right: 16, top: 14, bottom: 26 };

/** Lines with axes, a legend and a reading at the pointer. `series`: name and points each; `marks`: times and names. */
function lineChart(series, marks, width, label) {
  const height = 260;
  const span = Math.max(report.window.seconds, ...series.map(({ points }) => endOf(points)[0])) || 1;
  const largest = Math.max(1, ...series.flatMap(({ points }) => points.map(([, count]) => count)));
  const grid = step(largest);
  const top = Math.ceil(largest / grid) * grid;
  const x = (seconds) => MARGIN.left + (seconds / span) * (width - MARGIN.left - MARGIN.right);
  const y = (count) => height - MARGIN.bottom - (count / top) * (height - MARGIN.top - MARGIN.bottom);
  const svg = makeSvg("svg.chart", { viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: 0, "aria-label": label },
    axes(x, y, { span, top, grid, width, height }),
    marks.map(({ seconds, name }) => makeSvg("g.mark",
      makeSvg("title", `${name} after ${duration(seconds)}`),
      makeSvg("path", { d: `M${x(seconds).toFixed(1)} ${MARGIN.top}V${height - MARGIN.bottom}` }),
      makeSvg("text", { x: x(seconds).toFixed(1), y: MARGIN.top - 3, "text-anchor": x(seconds) > width - 80 ? "end" : "middle" }, name))),
    series.map(({ points }, at) => makeSvg(`g.series.color-${at}`,
      makeSvg("path.line", { d: scaled(points, x, y) }),
      makeSvg("circle.end", { cx: x(endOf(points)[0]).toFixed(1), cy: y(endOf(points)[1]).toFixed(1), r: 3 }))));
  const legend = make("ul.legend", series.map(({ name, points }, at) => make("li",
    make(`span.swatch.color-${at}`), make("span.name", name), make("span.value", number(endOf(points)[1])))));
  const figure = make("figure.lines", svg, legend);
  readings(svg, figure, series, { x, y, span, width, height });
  return figure;
}

function axes(x, y, { span, top, grid, width, height }) {
  const lines = [];
  for (let count = 0; count <= top; count += grid) {
    lines.push(makeSvg("path.grid", { d: `M${MARGIN.left} ${y(count).toFixed(1)}H${width - MARGIN.right}` }),
      makeSvg("text.tick", { x: MARGIN.left - 8, y: y(count) + 4, "text-anchor": "end" }, number(count)));
  }
  const between = timeStep(span, width / 90);
  for (let mark = 0; mark * between <= span * 1.001; mark += 1) {
    const seconds = mark * between;
    lines.push(makeSvg("text.tick", { x: x(seconds), y: height - 8, "text-anchor": "middle" },
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
