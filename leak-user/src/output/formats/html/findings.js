// One card for each problem, finding and failure.

/** Stacks that are open at first: of the worst findings. */
const OPEN_STACKS = 1;

const cards = new Map();

/** The card of a finding, made when it is first shown. */
function cardOf(finding) {
  let card = cards.get(finding);
  if (!card) cards.set(finding, card = findingCard(finding, report.findings.indexOf(finding)));
  return card;
}

const verdictOf = ({ verdict }) => (VERDICTS.includes(verdict) ? verdict : "steady");

/** Goes to a finding, which is shown for that if it is not. */
function linkToFinding(finding, ...text) {
  const made = make("a", { href: `#finding-${report.findings.indexOf(finding)}` }, ...text);
  made.addEventListener("click", (event) => {
    event.preventDefault();
    goTo(finding);
  });
  return made;
}

const linkToProcess = (process, ...text) => (process
  ? make("a", { href: `#process-${process.pid}-${process.start_time}` }, ...text) : text);

function findingCard(finding, place) {
  const card = make(`article.finding.${verdictOf(finding)}`, { id: `finding-${place}`, tabindex: -1 },
    make("header",
      make("h3", make("span.badge", finding.verdict.toUpperCase()), make("span.what", ` ${finding.kind} in `,
        linkToProcess(finding.process, make("strong", finding.comm || "?"), ` (${finding.pid})`))),
      make("p.key", numbersOf(finding))),
    make("div.body",
      make("div.says",
        make("ul.evidence", finding.evidence.map((sentence) => make("li", sentence))),
        finding.waits_for && make("p.waits", make("b", "Waits for: "), finding.waits_for),
        finding.hint && make("p.advice", make("b", "Hint: "), finding.hint)),
      make("div.shape", sparkline(finding.history, `${nouns(2, finding.kind)} held`, { limit: limitOf(finding), scale: true }),
        finding.history.length > 1 && make("a.back", { href: "#time" }, "compare over time"))),
    facts(finding),
    stackOf(finding, place < OPEN_STACKS && finding.verdict !== "steady"),
    finding.last_user.length > 0 && stackOf({ stack: finding.last_user, lines: finding.last_user_lines }, place < OPEN_STACKS, "Last used at"),
    examplesOf(finding));
  return card;
}

/** How many, how fast, and when the limit is hit: what decides whether one reads on. */
function numbersOf(finding) {
  const pace = growth(finding.growth_per_second) + (finding.rule === "watches" ? " watches" : "");
  const parts = [`${number(finding.outstanding)} held`, pace];
  if (finding.exhaustion_seconds !== null && !finding.process?.exited) {
    parts.push(`limit in ${duration(finding.exhaustion_seconds)}`);
  }
  return parts.join(" · ");
}

function facts(finding) {
  const fact = (name, value) => make("div", make("dt", name), make("dd", value));
  return make("dl.facts",
    fact("acquired", number(finding.acquired)),
    fact("released", number(finding.released)),
    finding.young > 0 && fact("young", number(finding.young)),
    finding.preexisting > 0 && fact("from before the trace", number(finding.preexisting)),
    finding.unaccounted > 0 && fact("unaccounted for", number(finding.unaccounted)),
    finding.bytes > 0 && fact("size", bytes(finding.bytes)),
    fact("oldest", duration(finding.oldest_age_seconds)),
    fact("confidence", `${Math.round(finding.confidence * 100)} %`),
    finding.rule && fact("rule", finding.rule),
    finding.process?.exited && fact("process", "exited"));
}

function stackOf(entry, open, name = "Stack") {
  if (!entry.stack.length) return make("p.empty", "No stack: the acquisition, or its stack, was not seen.");
  const named = telling(entry.stack, entry.lines);
  const label = [`${name}, ${counted(entry.stack.length, "frame", "frames")}: `, make("code", frameName(named)),
    make("span.place", " ", shortPlace(named))];
  return disclosure(label, open, () => [
    make("ol.stack", (entry.lines ?? entry.stack.map((_, at) => [at, 0])).map((line) => (typeof line[1] === "string"
      ? foldedLines(entry.stack, line) : frameLine(entry.stack[line[0]], line[0], line[1] === 1)))),
    entry.frames_left_out > 0 && make("p.empty", `${counted(entry.frames_left_out, "frame is", "frames are")} left out here.`),
  ]);
}

function frameLine(frame, at, own) {
  return make(`li${own ? ".own" : ""}`, { value: at },
    make("code.function", frameName(frame)),
    own && make("span.here", "look here"),
    frame.inlined && make("span.note", " inlined"),
    make("span.place", { title: framePlace(frame) }, " ", shortPlace(frame)),
    frame.module && make("span.module", { title: frame.module }, ` (${baseName(frame.module)})`));
}

/** Frames that are folded, as `[first, whose, count]`: a click shows them. */
function foldedLines(stack, [first, whose, count]) {
  const folded = make("li.folded", { value: first });
  const button = make("button.unfold", { type: "button" }, `… ${counted(count, "frame", "frames")} of ${whose}`);
  button.addEventListener("click", () => {
    const lines = stack.slice(first, first + count).map((frame, at) => frameLine(frame, first + at, false));
    folded.replaceWith(...lines);
    lines[0].tabIndex = -1;
    lines[0].focus();
  });
  return append(folded, [button]);
}

function examplesOf(finding) {
  const count = finding.examples.length;
  if (!count) return null;
  const all = finding.outstanding > count ? ` of ${number(finding.outstanding)}` : "";
  return disclosure([`Held: ${number(count)}${all}`], false, () => make("div.scroll", make("table",
    make("thead", make("tr", ["Handle", "Age", "What"].map((name) => make("th", { scope: "col" }, name)))),
    make("tbody", finding.examples.map((example) => make("tr",
      make("td", make("code", example.handle)),
      make("td.number", duration(example.age_seconds)),
      make("td.long", ...describe(example))))))));
}

function describe(example) {
  const socket = example.socket;
  const ends = socket && [socket.local, socket.peer].filter(Boolean).join(" → ");
  const says = ends ? [socket.family, ends, socket.state].filter(Boolean).join(" ") : example.description;
  const holders = example.held_by ?? [];
  return [says, holders.length > 0 && make("div.note", "also held by ", holdersOf(holders))];
}

/** Who holds, and how many of what: each process once. */
function holdersOf(holders) {
  const said = new Map();
  for (const { comm, pid, handle, what, count } of holders) {
    const amount = what === "bytes" ? bytes(count) : what ? `${number(count)} ${nouns(count, what)}`
      : count > 1 ? `${number(count)}×` : "";
    const who = `${comm} (${pid})`;
    said.set(who, [...(said.get(who) ?? []), [handle && `as ${handle}`, amount].filter(Boolean).join(" ")].filter(Boolean));
  }
  return [...said].map(([who, amounts]) => (amounts.length ? `${who} ${amounts.join(", ")}` : who)).join("; ");
}

/** A kind of resource as a noun. */
function nouns(count, kind) {
  if (count === 1 || /s$/.test(kind) && kind !== "process") return kind;
  return /s$/.test(kind) ? `${kind}es` : /ry$/.test(kind) ? kind.replace(/y$/, "ies") : `${kind}s`;
}

function failureCard(failure) {
  return make("article.finding.failure",
    make("header",
      make("h3", make("span.badge", failure.error), make("span.what", ` ${failure.call} in `,
        linkToProcess(processOf.get(processKey(failure)), make("strong", failure.comm), ` (${failure.pid})`))),
      make("p.key", `first after ${duration(failure.after_seconds)} · ${counted(failure.count, "time", "times")}`)),
    failure.meaning && make("p", failure.meaning),
    failure.holders.length > 0 && make("p", make("b", "Held the most then: "), holdersOf(failure.holders)),
    leading(failure),
    stackOf(failure, false));
}

/** Of the same process, the findings that may be why. */
function leading(failure) {
  const of = report.findings.filter((finding) => finding.verdict !== "steady" && processKey(finding) === processKey(failure));
  return of.length > 0 && make("p", make("b", "Findings there: "), of.slice(0, 4).map((finding, at) =>
    [at > 0 && ", ", linkToFinding(finding, `${number(finding.outstanding)} ${nouns(finding.outstanding, finding.kind)}`)]));
}

/** One cause and its parts. */
function problemCard(problem) {
  const [first] = problem.findings;
  return make(`div.finding.problem.${verdictOf(problem)}`,
    make("header",
      make("h3", make("span.badge", problem.verdict.toUpperCase()), make("span.what", ` ${problem.kind} in `,
        make("strong", problem.who || "?"), ` (${pidsOf(problem)})`)),
      make("p.key", numbersOf({ ...problem, rule: first?.rule, process: first?.process }))),
    problem.where && make("p.where", make("code", problem.where), problem.via && [" via ", make("code", problem.via)]),
    make("ul.parts", problem.parts.map((part, at) => {
      const label = `${number(part.outstanding)} ${nouns(part.outstanding, part.kind)}`;
      const of = report.findings[part.findings[0]];
      const count = problem.finding_counts[at];
      return make("li", of ? linkToFinding(of, label) : label, part.preexisting > 0 && `, ${number(part.preexisting)} from before the trace`,
        ` · ${growth(part.growth_per_second)}`, count > 1 && ` · ${number(count)} findings`);
    }), problem.part_count > problem.parts.length && make("li", `${number(problem.part_count - problem.parts.length)} more parts`)));
}

/** The first process ids. */
function pidsOf({ pids, pid_count: count }) {
  const shown = pids.slice(0, 4);
  return shown.join(", ") + (count > shown.length ? ` and ${number(count - shown.length)} more` : "");
}
