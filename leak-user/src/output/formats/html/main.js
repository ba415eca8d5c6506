// Puts the parts into the page, and draws again what depends on the filter.

/** Lines of the large chart. */
const LINES = 6;

function headline() {
  const { leak, suspect, outstanding, holders } = report.totals;
  const time = duration(report.window.seconds);
  const held = outstanding
    ? `${counted(outstanding, "resource", "resources")} outstanding in ${counted(holders, "process", "processes")}`
    : "nothing that was acquired is outstanding";
  const suspects = counted(suspect, "suspect", "suspects");
  const leaks = make("span.leak", counted(leak, "leak", "leaks"));
  const found = leak && suspect ? [leaks, ` and ${suspects} found`] : leak ? [leaks, " found"]
    : suspect ? [make("span.suspect", suspects), report.full.length ? " found" : " and no leak found"] : [report.full.length ? "Nothing found that grows" : "No leak found"];
  const full = report.full.length > 0
    && make("span.leak", `${counted(report.full.length, "process is", "processes are")} full. `);
  fill(byId("headline"), full, ...found, ` in ${time}`, make("small", `${held}.`));
  const { host, window } = report;
  fill(byId("origin"), `${host.hostname} · Linux ${host.kernel} ${host.arch} · until ${minute(window.end)}`);
  document.title = `leaktrace: ${host.hostname}, ${minute(window.end)}`;
}

/** An RFC 3339 time without its fractions. */
const minute = (time) => time.replace(/^(\d+-\d+-\d+)T(\d+:\d+:\d+)(\.\d+)?Z$/, "$1 $2 UTC");

/** What weakens the result so much that it belongs beside it. */
function doubts() {
  const { events, lost, uncovered } = report.health;
  const said = [];
  if (!events) said.push("Nothing was seen: not one acquisition or release, so this says nothing about leaks.");
  if (lost) said.push(`${counted(lost, "record was", "records were")} lost: see the end of this page for what that means.`);
  if (uncovered.length) said.push("Not everything was covered: see the end of this page.");
  fill(byId("doubts"), said.map((text) => make("p.doubt", text)));
}

const grown = (points) => endOf(points)[1] - points[0][1];

/** The lines to compare: of processes, or of findings where processes have none. */
function drawTime({ findings, processes }) {
  const container = byId("time-chart");
  const drawn = (entries, name) => entries
    .filter(({ history }) => history.length > 1)
    .sort((a, b) => grown(b.history) - grown(a.history) || endOf(b.history)[1] - endOf(a.history)[1])
    .map((entry) => ({ name: name(entry), points: entry.history }));
  const ofProcesses = drawn([...processes], ({ comm, pid }) => `${comm} (${pid})`);
  const series = ofProcesses.length ? ofProcesses
    : drawn([...findings], ({ kind, comm, pid }) => `${kind} in ${comm} (${pid})`);
  if (!series.length) {
    fill(container, make("p.empty", "There is no history of what is shown."));
    return;
  }
  const what = ofProcesses.length ? "processes" : "findings";
  const marks = report.failures.slice(0, 5).map(({ after_seconds: seconds, error }) => ({ seconds, name: error.slice(0, 16) }));
  const width = Math.max(container.clientWidth, 320);
  const shown = series.slice(0, LINES);
  fill(container, lineChart(shown, marks, width, `Outstanding over time, ${what}: ${shown
    .map(({ name, points }) => `${name} ${inWords(points)}`).join("; ")}`),
    make("p.hint", ofProcesses.length ? "All that a process holds, what is from before the trace included. " : "",
      series.length > LINES && `The ${LINES} ${what} that grew most, of ${number(series.length)}.`));
}

const cards = report.findings.map(findingCard);

function drawFindings({ findings }) {
  const shown = new Set(findings);
  report.findings.forEach((finding, place) => {
    cards[place].hidden = !shown.has(finding);
  });
  byId("no-finding").hidden = shown.size > 0;
}

function drawShown({ findings, processes }) {
  const of = (some, all, name) => `${number(some)} of ${counted(all, name[0], name[1])}`;
  byId("shown").textContent = `${of(findings.length, report.findings.length, ["finding", "findings"])}, `
    + `${of(processes.length, report.processes.length, ["process", "processes"])} shown`;
}

function choices() {
  fill(byId("verdicts"), VERDICTS.map((verdict) => toggle(`${verdict} ${number(report.totals[verdict])}`,
    state.verdicts.has(verdict), () => {
      if (!state.verdicts.delete(verdict)) state.verdicts.add(verdict);
      changed(byId("verdicts"), VERDICTS.indexOf(verdict));
    })));
  const names = { count: "by count", bytes: "by bytes" };
  fill(byId("units"), UNITS.map((unit) => toggle(names[unit], state.unit === unit, () => {
    state.unit = unit;
    changed(byId("units"), UNITS.indexOf(unit));
  })));
}

/** Draws again after a choice; the button that was pressed is a new one and gets the focus back. */
function changed(group, place) {
  writeFragment();
  draw();
  group.children[place].focus();
}

function draw() {
  const now = visible();
  choices();
  drawShown(now);
  drawFindings(now);
  drawTime(now);
  icicle(byId("icicle"), now.findings, state.unit);
  processTable(byId("process-table"), now.processes);
}

function section(id, entries, content) {
  byId(id).hidden = entries.length === 0;
  if (entries.length) append(byId(id), [content()]);
}

/** What was lost, corrected or not seen, and what this page leaves out. */
function trust() {
  const health = report.health;
  const entries = (list) => list.length > 0 && make("ul", list.map(({ name, count, meaning }) =>
    make("li", `${name} ${number(count)}`, meaning && `: ${meaning}`)));
  const line = (count, one, many) => count > 0 && make("p", counted(count, one, many));
  fill(byId("trust-list"),
    make("p", `${counted(health.events, "event was", "events were")} seen in ${duration(report.window.seconds)}.`),
    health.lost || health.losses.length
      ? make("p", `Lost ${counted(health.lost, "record", "records")}. ${health.loss}`)
      : make("p", "Nothing was lost."),
    entries(health.losses),
    line(health.reconciled, "resource was dropped because /proc did not show it any more.",
      "resources were dropped because /proc did not show them any more."),
    line(health.adopted, "resource was found in /proc without its acquisition; it has no stack.",
      "resources were found in /proc without their acquisition; they have no stack."),
    line(health.stacks_truncated, "stack ends before its outermost frame.",
      "stacks end before their outermost frame."),
    entries(health.stack_ends),
    health.uncovered.length > 0 && [make("p", "Not covered:"),
      make("ul", health.uncovered.map((sentence) => make("li", sentence)))],
    leftOut());
}

/** What the page does not hold, which the report does. */
function leftOut() {
  return Object.entries(report.left_out).filter(([, count]) => count > 0).map(([what, count]) =>
    make("p.doubt", `This page leaves out ${number(count)} ${what}, those that matter least; -f json has them.`));
}

function start() {
  byId("bar").hidden = false;
  byId("main").hidden = false;
  headline();
  doubts();
  trust();
  fill(byId("finding-list"), make("p.empty", { id: "no-finding" }, "No finding to show."), cards, leftOut());
  section("full", report.full, () => report.full.map(fullCard));
  section("shared", report.shared_limits, () => sharedTable(report.shared_limits));
  section("failures", report.failures, () => report.failures.map(failureCard));
  section("suppressed", report.suppressed, () => make("ul", report.suppressed.map(({ why, built_in, findings, outstanding }) =>
    make("li", `${why}${built_in ? " (built in)" : ""}: ${counted(findings, "finding", "findings")}, ${number(outstanding)} outstanding`))));
  readFragment();
  byId("filter").value = state.filter;
  draw();
}

byId("filter").addEventListener("input", () => {
  state.filter = byId("filter").value;
  writeFragment();
  draw();
});

addEventListener("hashchange", () => {
  if (!readFragment()) return;
  byId("filter").value = state.filter;
  draw();
});

addEventListener("keydown", (event) => {
  const input = byId("filter");
  if (event.key === "/" && event.target !== input && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    input.focus();
    input.select();
  } else if (event.key === "Escape" && event.target === input) {
    input.value = "";
    input.dispatchEvent(new Event("input"));
  }
});

let resized = 0;
addEventListener("resize", () => {
  clearTimeout(resized);
  resized = setTimeout(() => drawTime(visible()), 100);
});

// Paper has no triangle to click on: stacks of what is worse than steady are printed open.
let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll(".finding.leak details:not([open]), .finding.suspect details:not([open])")];
  for (const details of opened) {
    details.open = true;
    // The event that would do this comes too late for the printer.
    details.show();
  }
});
addEventListener("afterprint", () => {
  for (const details of opened) details.open = false;
});

start();
