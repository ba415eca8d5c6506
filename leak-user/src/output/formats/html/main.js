// Puts the parts into the page, and draws again what depends on the filter.

/** Lines of the large chart. */
const LINES = 6;

function headline() {
  const { outstanding, holders } = report.totals;
  // Findings of one cause are one thing to mend.
  const { leak, suspect } = report.problems.length ? report.totals.problems : report.totals;
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
  const failing = new Set(report.failures.map(processKey)).size;
  const failed = failing > 0 && make("span.leak", `${counted(failing, "process fails", "processes fail")}. `);
  fill(byId("headline"), failed, full, ...found, ` in ${time}`, make("small", `${held}.`));
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

/** The lines to compare: of findings that grow, or where there are none, of processes. */
function drawTime({ findings, processes }) {
  const container = byId("time-chart");
  const drawn = (entries, name, link) => entries
    .filter(({ history }) => history.length > 1)
    .sort((a, b) => grown(b.history) - grown(a.history) || endOf(b.history)[1] - endOf(a.history)[1])
    .map((entry) => ({ name: name(entry), points: entry.history, entry, link: () => link(entry, name(entry)) }));
  const news = findings.filter(({ verdict }) => verdict !== "steady");
  const named = (link) => (entry, name) => {
    const made = link(entry, name);
    made.classList.add("name");
    return made;
  };
  const ofFindings = drawn(news, ({ kind, comm, pid }) => `${nouns(2, kind)} of ${comm} (${pid})`, named(linkToFinding));
  const ofProcesses = ofFindings.length ? [] : drawn([...processes], ({ comm, pid }) => `${comm} (${pid})`, named(linkToProcess));
  const series = ofFindings.length ? ofFindings : ofProcesses;
  if (!series.length) {
    fill(container, make("p.empty", "There is no history of what is shown."));
    return;
  }
  const what = ofProcesses.length ? "processes" : "findings";
  const marks = report.failures.slice(0, 5).map(({ after_seconds: seconds, error, comm, pid }) =>
    ({ seconds, name: `${error.slice(0, 16)} in ${comm.slice(0, 16)} (${pid})` }));
  const limits = ofFindings.length ? limitsOfFindings(series.slice(0, LINES).map(({ entry }) => entry)) : [];
  const width = Math.max(container.clientWidth, 320);
  const shown = series.slice(0, LINES);
  fill(container, lineChart(shown, { marks, limits, unit: "resources held" }, width, `Outstanding over time, ${what}: ${shown
    .map(({ name, points }) => `${name} ${inWords(points)}`).join("; ")}`),
    far(limits, shown),
    make("p.hint", ofProcesses.length ? "All that a process holds, what is from before the trace included. " : "",
      series.length > LINES && `The ${LINES} ${what} that grew most, of ${number(series.length)}.`));
}

/** The limits that the lines run into, each once. */
function limitsOfFindings(findings) {
  const limits = new Map();
  for (const finding of findings) {
    const limit = limitOf(finding);
    if (limit) limits.set(`${limit.resource} ${limit.soft}`, { name: `limit ${number(limit.soft)} (${limit.resource})`, amount: limit.soft });
  }
  return [...limits.values()].sort((a, b) => a.amount - b.amount);
}

/** Limits that are above the chart. */
function far(limits, series) {
  const most = Math.max(1, ...series.flatMap(({ points }) => points.map(([, count]) => count)));
  const names = limits.filter(({ amount }) => amount > most * NEAR).map(({ name }) => name);
  return names.length > 0 && make("p.hint", `Far above: ${names.join(", ")}.`);
}

/** Findings that are drawn at first, and by each press of the button below them. */
const CARDS = 50;
let cardsShown = CARDS;

function drawFindings({ findings }) {
  const rest = findings.length - cardsShown;
  const more = rest > 0 && make("button.more", { type: "button" }, `Show ${number(Math.min(rest, CARDS))} more of ${number(rest)}`);
  if (more) {
    more.addEventListener("click", () => {
      cardsShown += CARDS;
      drawFindings(visible());
    });
  }
  const list = byId("finding-list");
  fill(list, findings.length === 0 && make("p.empty", { id: "no-finding" }, "No finding to show."),
    findings.slice(0, cardsShown).map(cardOf), more, leftOut());
}

/** Shows a finding, whatever is filtered, and goes there. */
function goTo(finding) {
  if (!visible().findings.includes(finding)) {
    state.filter = "";
    byId("filter").value = "";
    state.verdicts.add(finding.verdict);
    writeFragment();
  }
  cardsShown = Math.max(cardsShown, visible().findings.indexOf(finding) + 1);
  draw();
  const card = cardOf(finding);
  card.scrollIntoView();
  card.focus({ preventScroll: true });
}

function drawShown({ findings, processes }) {
  const of = (some, all, name) => `${number(some)} of ${counted(all, name[0], name[1])}`;
  byId("shown").textContent = `${of(findings.length, report.findings.length + waiting.findings, ["finding", "findings"])}, `
    + `${of(processes.length, report.processes.length + waiting.processes, ["process", "processes"])} shown`;
}

/** Does something with all that the page has; says it where the browser cannot read the rest. */
function withLater(act) {
  readLater().then(act, (error) => {
    fill(byId("doubts"), make("p.doubt", `This browser cannot read the part of the page that is compressed (${error.message}): -f json has all.`));
    act();
  });
}

/** The sections that have something, as a list that stays in sight. */
function contents() {
  const sections = [...document.querySelectorAll("main > section:not([hidden])")];
  fill(byId("contents-list"), sections.map((section) =>
    make("li", make("a", { href: `#${section.id}` }, section.dataset.short ?? section.querySelector("h2").textContent))));
  byId("contents").hidden = sections.length < 2;
}

function choices() {
  fill(byId("verdicts"), VERDICTS.map((verdict) => toggle(`${verdict} ${number(report.totals[verdict])}`,
    state.verdicts.has(verdict), () => {
      if (!state.verdicts.delete(verdict)) state.verdicts.add(verdict);
      changed(byId("verdicts"), VERDICTS.indexOf(verdict));
    })));
  byId("sort").value = state.sort;
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
  if (needsLater() && (waiting.findings || waiting.processes) && !reading) withLater(draw);
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
      ? make("p", `Lost ${counted(health.lost, "record", "records")}. Where that may hide a release, the process was `
        + "compared with /proc before its verdict, and the verdict is less sure; an acquisition among them is missing "
        + "from this report.")
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
  for (const problem of report.problems) {
    problem.findings = problem.findings.map((index) => report.findings[index]).filter(Boolean);
  }
  section("problems", report.problems, () => report.problems.map(problemCard));
  section("full", report.full, () => report.full.map(fullCard));
  section("shared", report.shared_limits, () => sharedTable(report.shared_limits));
  section("failures", report.failures, () => report.failures.map(failureCard));
  section("suppressed", report.suppressed, () => make("ul", report.suppressed.map(({ why, built_in, findings, outstanding }) =>
    make("li", `${why}${built_in ? " (built in)" : ""}: ${counted(findings, "finding", "findings")}, ${number(outstanding)} outstanding`))));
  fill(byId("sort"), Object.entries(SORTS).map(([key, { name }]) => make("option", { value: key }, name)));
  contents();
  readFragment();
  byId("filter").value = state.filter;
  draw();
}

byId("sort").addEventListener("change", () => {
  state.sort = byId("sort").value;
  writeFragment();
  drawFindings(visible());
});

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
