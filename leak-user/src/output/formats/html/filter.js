// What is shown: a text to filter by, verdicts, an order, the icicle's unit. The page's fragment has it, as
// `#filter=pid:7%20socket&verdicts=leak,suspect&sort=growth&unit=bytes`, so that a view can be linked to.

const VERDICTS = ["leak", "suspect", "steady"];
const UNITS = ["count", "bytes"];

/** Orders of findings: a name for people, and what is largest first. The report has the worst first. */
const SORTS = {
  worst: { name: "worst first", key: null },
  growth: { name: "fastest", key: (finding) => finding.growth_per_second },
  limit: { name: "limit soonest", key: (finding) => -(finding.exhaustion_seconds ?? Infinity) },
  held: { name: "most held", key: (finding) => finding.outstanding },
  bytes: { name: "largest", key: (finding) => finding.bytes },
  age: { name: "oldest", key: (finding) => finding.oldest_age_seconds },
};

const state = { filter: "", verdicts: new Set(VERDICTS), sort: "worst", unit: "count" };

/** Steady sites are no news where there are others. */
function defaultVerdicts() {
  const news = report.totals.leak + report.totals.suspect > 0;
  return new Set(news ? ["leak", "suspect"] : VERDICTS);
}

/** Reads the fragment; one without `=` is the name of a section. Whether there was something to read. */
function readFragment() {
  const fragment = location.hash.slice(1);
  if (fragment && !fragment.includes("=")) return false;
  const given = new URLSearchParams(fragment);
  state.filter = given.get("filter") ?? "";
  const verdicts = given.get("verdicts");
  state.verdicts = verdicts === null ? defaultVerdicts()
    : new Set(verdicts.split(",").filter((verdict) => VERDICTS.includes(verdict)));
  state.sort = Object.hasOwn(SORTS, given.get("sort") ?? "") ? given.get("sort") : "worst";
  state.unit = UNITS.includes(given.get("unit")) ? given.get("unit") : "count";
  return true;
}

function writeFragment() {
  const parts = [];
  if (state.filter) parts.push(`filter=${encodeURIComponent(state.filter)}`);
  const usual = defaultVerdicts();
  if (VERDICTS.some((verdict) => usual.has(verdict) !== state.verdicts.has(verdict))) {
    parts.push(`verdicts=${VERDICTS.filter((verdict) => state.verdicts.has(verdict)).join(",")}`);
  }
  if (state.sort !== "worst") parts.push(`sort=${state.sort}`);
  if (state.unit !== "count") parts.push(`unit=${state.unit}`);
  // Not an entry of the history for each key that is pressed.
  history.replaceState(null, "", parts.length ? `#${parts.join("&")}` : location.pathname + location.search);
}

/** The filter's terms: each a place (or `all`) and a text. */
function terms(filter) {
  return filter.toLowerCase().split(/\s+/).filter(Boolean).map((term) => {
    const [, place, text] = /^(pid|comm|kind|function|module):(.+)$/.exec(term) ?? [null, "all", term];
    return { place, text };
  });
}

/** Whether all terms are found; a pid that is asked for by name is meant whole. */
function matches(words, wanted) {
  return wanted.every(({ place, text }) => (place === "pid" ? words.pid === text : words[place].includes(text)));
}

/** Whether what is shown needs what is not read yet. */
const needsLater = () => state.verdicts.has("steady") || Boolean(state.filter.trim());

/** What the state lets through. */
function visible() {
  const wanted = terms(state.filter);
  const findings = report.findings.filter(
    (finding) => state.verdicts.has(finding.verdict) && matches(finding.words, wanted));
  const { key } = SORTS[state.sort];
  if (key) findings.sort((a, b) => (key(b) > key(a) ? 1 : key(b) < key(a) ? -1 : 0));
  const processes = report.processes.filter((process) => matches(process.words, wanted));
  return { findings, processes };
}
