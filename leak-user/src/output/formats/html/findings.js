// One card for each finding, and what failed first.

/** Stacks that are open at first: of the worst findings. */
const OPEN_STACKS = 1;

function findingCard(finding, place) {
  const card = make(`article.finding.${VERDICTS.includes(finding.verdict) ? finding.verdict : "steady"}`,
    make("header",
      make("h3", make("span.badge", finding.verdict.toUpperCase()), make("span.what", ` ${finding.kind} in `,
        make("strong", finding.comm || "?"), ` (${finding.pid})`)),
      make("p.key", numbersOf(finding))),
    make("div.body",
      make("div.says",
        make("ul.evidence", finding.evidence.map((sentence) => make("li", sentence))),
        finding.waits_for && make("p.waits", make("b", "Waits for: "), finding.waits_for),
        finding.hint && make("p.advice", make("b", "Hint: "), finding.hint)),
      make("div.shape", sparkline(finding.history, `${finding.kind} outstanding`))),
    facts(finding),
    stackOf(finding, place < OPEN_STACKS && finding.verdict !== "steady"),
    examplesOf(finding));
  return card;
}

/** How many, how fast, and when the limit is hit: what decides whether one reads on. */
function numbersOf(finding) {
  const pace = growth(finding.growth_per_second) + (finding.rule === "watches" ? " watches" : "");
  const parts = [`${number(finding.outstanding)} held`, pace];
  if (finding.exhaustion_seconds !== null && !finding.process?.exited) {
    parts.push(`${finding.limit || "limit"} in ${duration(finding.exhaustion_seconds)}`);
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

function stackOf(entry, open) {
  if (!entry.stack.length) return make("p.empty", "No stack: the acquisition, or its stack, was not seen.");
  const named = telling(entry.stack);
  const label = [`Stack, ${counted(entry.stack.length, "frame", "frames")}: `, make("code", frameName(named)),
    make("span.place", " ", shortPlace(named))];
  return disclosure(label, open, () => [
    make("ol.stack", { start: 0 }, entry.stack.map((frame) => make("li",
      make("code.function", frameName(frame)),
      frame.inlined && make("span.note", " inlined"),
      make("span.place", { title: framePlace(frame) }, " ", shortPlace(frame)),
      frame.module && make("span.module", { title: frame.module }, ` (${baseName(frame.module)})`)))),
    entry.frames_left_out > 0 && make("p.empty", `${counted(entry.frames_left_out, "frame is", "frames are")} left out here.`),
  ]);
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

const holdersOf = (holders) => holders.map(({ comm, pid, handle, count }) =>
  `${comm} (${pid})${handle ? ` as ${handle}` : ""}${count > 1 ? ` ${number(count)}×` : ""}`).join(", ");

function failureCard(failure) {
  return make("article.finding.failure",
    make("header",
      make("h3", make("span.badge", failure.error), make("span.what", ` ${failure.call} in `,
        make("strong", failure.comm), ` (${failure.pid})`)),
      make("p.key", `first after ${duration(failure.after_seconds)} · ${counted(failure.count, "time", "times")}`)),
    failure.meaning && make("p", failure.meaning),
    failure.holders.length > 0 && make("p", make("b", "Held the most then: "), holdersOf(failure.holders)),
    stackOf(failure, false));
}
