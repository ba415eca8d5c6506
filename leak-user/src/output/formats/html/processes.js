// The table of processes, with limits and when they are reached; limits that processes share.

const COLUMNS = [
  { name: "PID", key: (process) => process.pid, up: true },
  { name: "Command", key: (process) => process.comm, up: true },
  { name: "Held", key: (process) => sum(Object.values(process.outstanding)) },
  { name: "From before", key: (process) => sum(Object.values(process.preexisting)) },
  { name: "Over time" },
  { name: "Nearest limits", key: (process) => -soonest(process), hint: "soonest first" },
];

/** Column that the table is sorted by; at first none: those with findings are first. */
const order = { column: null, up: false };

/** Rows that are shown before the others are asked for. */
const ROWS = 25;
/** Whether they were. */
let allRows = false;

/** Seconds to the first limit; those that only fill slowly come after all that grow. */
function soonest(process) {
  return Math.min(Infinity, ...process.limits.map((limit) => limit.exhaustion_seconds ?? Infinity));
}

function processTable(container, processes) {
  if (!processes.length) {
    fill(container, make("p.empty", "No process to show."));
    return;
  }
  const sorted = [...processes];
  if (order.column) {
    const sign = order.up ? 1 : -1;
    const { key } = order.column;
    sorted.sort((a, b) => (key(a) < key(b) ? -sign : key(a) > key(b) ? sign : 0));
  }
  const heads = COLUMNS.map((column) => {
    const sortedBy = order.column === column && (order.up ? "ascending" : "descending");
    if (!column.key) return make("th", { scope: "col" }, column.name);
    const button = make("button.sort", { type: "button", title: column.hint }, column.name);
    button.addEventListener("click", () => {
      order.up = order.column === column ? !order.up : Boolean(column.up);
      order.column = column;
      withLater(() => processTable(container, visible().processes));
    });
    return make("th", { scope: "col", "aria-sort": sortedBy }, button);
  });
  const shown = allRows ? sorted : sorted.slice(0, ROWS);
  fill(container, make("div.scroll", make("table.processes",
    make("thead", make("tr", heads)), make("tbody", shown.map(processRow)))));
  if (shown.length < sorted.length || waiting.processes) {
    const more = make("button.more", { type: "button" }, `Show ${number(sorted.length - shown.length + waiting.processes)} more`);
    more.addEventListener("click", () => {
      allRows = true;
      withLater(() => processTable(container, visible().processes));
    });
    append(container, [more]);
  }
}

function processRow(process) {
  const command = process.cmdline.join(" ");
  return make("tr", { id: `process-${process.pid}-${process.start_time}` },
    make("td.number", String(process.pid)),
    make("td.command", make("strong", process.comm), process.exited && make("span.note", " exited"),
      process.exe && make("div.path", { title: process.exe }, process.exe),
      command && command !== process.exe && make("div.path", { title: command }, command),
      (process.unit || process.user) && make("div.path", [process.unit, process.user && `user ${process.user}`].filter(Boolean).join(" · ")),
      process.container_id && make("div.path", { title: process.container_id }, `container ${process.container_id.slice(0, 12)}`)),
    make("td", kindsOf(process.outstanding)),
    make("td.number", number(sum(Object.values(process.preexisting)))),
    make("td", sparkline(process.history, "resources held", { width: 120, height: 32 }), findingsOf(process)),
    make("td", process.exited ? null : limitsOf(process.limits)));
}

/** Links to what was found in it, the steady ones left out. */
function findingsOf(process) {
  const found = process.findings.filter(({ verdict }) => verdict !== "steady");
  return found.length > 0 && make("div.note", found.slice(0, 3).map((finding, at) =>
    [at > 0 && ", ", linkToFinding(finding, `${finding.verdict}: ${finding.kind}`)]), found.length > 3 && ` and ${number(found.length - 3)} more`);
}

function kindsOf(counts) {
  const kinds = Object.entries(counts).filter(([, count]) => count > 0).sort((a, b) => b[1] - a[1]);
  if (!kinds.length) return make("span.note", "nothing");
  return make("ul.kinds", kinds.map(([kind, count]) => make("li", make("b", number(count)), ` ${kind}`)));
}

function limitsOf(limits) {
  const share = (limit) => limit.used / Math.max(limit.soft, 1);
  const sorted = [...limits].sort((a, b) =>
    ((a.exhaustion_seconds ?? Infinity) - (b.exhaustion_seconds ?? Infinity) || 0) || share(b) - share(a));
  const rows = sorted.map((limit) => limitRow(limit.resource, limit.used, limit.soft, limit.exhaustion_seconds));
  // Where nothing grows, one says enough.
  const count = sorted.some((limit) => limit.exhaustion_seconds !== null) ? 2 : 1;
  const more = rows.slice(count);
  return [rows.slice(0, count), more.length > 0 && disclosure(`${more.length} more`, false, () => more)];
}

/** A bar that fills up, and when it will be full. */
function limitRow(resource, used, limit, exhaustion) {
  const bar = make("div.bar-fill");
  const share = unlimited(limit) ? 0 : Math.min(1, used / Math.max(limit, 1));
  bar.style.width = `${share * 100}%`;
  const of = unlimited(limit) ? "unlimited" : ofLimit(resource, limit);
  const soon = exhaustion !== null && exhaustion < 3600;
  return make("div.limit",
    make("span.resource", resource),
    make("span.used", `${ofLimit(resource, used)} / ${of}`),
    make(`div.bar-room${share > 0.8 || soon ? ".near" : ""}`, bar),
    exhaustion !== null && make("span.forecast", `full in ${duration(exhaustion)}`));
}

/** A process that is at a limit, and what it holds. */
function fullCard({ comm, pid, start_time, used, limit, resource, refused, groups, others }) {
  return make("div.scroll",
    make("p", linkToProcess(processOf.get(processKey({ pid, start_time })), `${comm} (${pid})`), `: ${number(used)} of ${number(limit)} descriptors are in use (${resource})`,
      refused > 0 && `, and ${counted(refused, "more was", "more were")} refused`, "."),
    make("table",
      make("thead", make("tr", ["Held", "Kind", "What", "State", "Oldest"].map((name, at) => make(at ? "th" : "th.number", { scope: "col" }, name)))),
      make("tbody", groups.map((group) => make("tr", make("td.number", number(group.count)), make("td", group.kind),
        make("td.long", group.what), make("td", group.state), make("td", group.oldest))))),
    others > 0 && make("p.hint", `... and ${number(others)} more`));
}

function sharedTable(limits) {
  return make("div.scroll", make("table",
    make("thead", make("tr", ["Scope", "Limit", "Growth"].map((name) => make("th", { scope: "col" }, name)))),
    make("tbody", limits.map((limit) => make("tr",
      make("td.long", limit.scope),
      make("td", limitRow(limit.resource, limit.used, limit.limit, limit.exhaustion_seconds)),
      make("td.number", limit.resource === "memory" && limit.growth_per_second > 0
        ? `+${bytes(Math.round(limit.growth_per_second))}/s` : growth(limit.growth_per_second)))))));
}
