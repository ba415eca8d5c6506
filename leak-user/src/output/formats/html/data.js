// The report, with the links between its parts made: frames of stacks, processes of findings, words to filter by.
// What matters least (steady findings, and processes that have no other) is there compressed, and is read on demand.

const report = JSON.parse(byId("report").textContent);
report.problems ??= [];

/** Names of a frame: its function, or the way to find it. */
function frameName(frame) {
  if (frame.symbol) return frame.symbol;
  if (frame.module && frame.module_offset) return `${baseName(frame.module)}+${frame.module_offset}`;
  return frame.address;
}

/** `file:line`, where that is known. */
function framePlace(frame) {
  if (!frame.file) return "";
  return frame.line === null || frame.line === undefined ? frame.file : `${frame.file}:${frame.line}`;
}

/** The end of a place: a file and the two directories that it is in say enough. */
function shortPlace(frame) {
  const place = framePlace(frame);
  const parts = place.split("/");
  return parts.length > 4 ? `…/${parts.slice(-3).join("/")}` : place;
}

/** The frame that says most in one line: the innermost that a person can change, else of a script, else outside the
    languages' own libraries. */
function telling(stack, lines) {
  const own = (lines ?? []).find((line) => line[1] === 1);
  if (own) return stack[own[0]];
  const script = (frame) => /\.py$/.test(frame.file ?? "") && !/\/lib\/python/.test(frame.file);
  const outside = (frame) => frame.symbol && !/^(libc|libpthread|ld-linux)[.-]/.test(baseName(frame.module))
    && !/^\/rustc\/|\/\.rustup\/|\/library\/(std|core|alloc)\/src\//.test(frame.file ?? "");
  return stack.find(script) ?? stack.find(outside) ?? stack[0];
}

/** Times and counts as pairs, in the order of time. */
function points(flat) {
  const pairs = [];
  for (let at = 0; at + 1 < flat.length; at += 2) {
    if (Number.isFinite(flat[at]) && Number.isFinite(flat[at + 1])) pairs.push([flat[at], flat[at + 1]]);
  }
  return pairs.sort((a, b) => a[0] - b[0]);
}

const processKey = (entry) => `${entry.pid} ${entry.start_time}`;

const processOf = new Map();

/** Links what is new: at the start all that is in the page as it is, later the rest. */
function link(findings, processes, failures, frames) {
  for (const process of processes) {
    process.history = points(process.history);
    process.findings = [];
    processOf.set(processKey(process), process);
  }
  for (const entry of [...findings, ...failures]) entry.stack = entry.stack.map((frame) => frames[frame]);
  for (const finding of findings) {
    finding.history = points(finding.history);
    finding.last_user = finding.last_user.map((frame) => frames[frame]);
    finding.process = processOf.get(processKey(finding));
    finding.process?.findings.push(finding);
    finding.words = wordsOf(finding, finding.process, [finding]);
  }
  const changed = new Set([...processes, ...findings.map(({ process }) => process).filter(Boolean)]);
  for (const process of changed) process.words = wordsOf(process, process, process.findings);
}

/** What is not read yet: counts of findings and processes. */
let waiting = report.later ?? { findings: 0, processes: 0 };
let reading = null;

/** Reads what is compressed, once. Whether there is more now. */
function readLater() {
  if (!waiting.findings && !waiting.processes) return Promise.resolve(false);
  reading ??= unpacked(byId("later").textContent.trim()).then((later) => {
    link(later.findings, later.processes, [], later.frames);
    report.findings.push(...later.findings);
    report.processes.push(...later.processes);
    waiting = { findings: 0, processes: 0 };
    return true;
  });
  return reading;
}

/** JSON that is deflated and written in base64. */
async function unpacked(text) {
  const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

/** The limit that a finding runs into: that of its process on its kind. */
const RESOURCES = { thread: ["nproc", "pids", "threads-max"], process: ["nproc", "pids", "pid_max"], mapping: ["max_map_count"], heap: [], shm: [] };
function limitOf(finding) {
  const names = RESOURCES[finding.kind] ?? ["nofile"];
  const limits = (finding.process?.limits ?? []).filter(({ resource, soft }) => names.includes(resource) && !unlimited(soft));
  const full = report.full.find((entry) => processKey(entry) === processKey(finding) && names.includes(entry.resource));
  if (full) limits.push({ resource: full.resource, soft: full.limit });
  return limits.sort((a, b) => a.soft - b.soft)[0] ?? null;
}

/** What a filter looks at, by place and all together, in lower case. */
function wordsOf(entry, process, findings) {
  const stacks = findings.flatMap((finding) => [...finding.stack, ...finding.last_user]);
  const kinds = findings.map((finding) => finding.kind);
  if (entry === process) kinds.push(...Object.keys(process.outstanding));
  const place = {
    pid: [String(entry.pid)],
    comm: [entry.comm],
    kind: kinds,
    function: stacks.map(frameName),
    module: stacks.map((frame) => frame.module),
  };
  const more = [
    process?.exe, process?.container_id, ...(process?.cmdline ?? []),
    ...stacks.map(framePlace),
    ...findings.flatMap((finding) => [finding.verdict, finding.rule, ...finding.examples.flatMap(exampleWords)]),
  ];
  const lower = (texts) => texts.filter(Boolean).join("\n").toLowerCase();
  const words = Object.fromEntries(Object.entries(place).map(([name, texts]) => [name, lower(texts)]));
  words.all = [...Object.values(words), lower(more)].join("\n");
  return words;
}

function exampleWords(example) {
  const socket = example.socket;
  return [example.handle, example.description, socket?.local, socket?.peer, socket?.state];
}

link(report.findings, report.processes, report.failures, report.frames);
