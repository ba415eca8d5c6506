// The report, with the links between its parts made: frames of stacks, processes of findings, words to filter by.

const report = JSON.parse(byId("report").textContent);

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

/** The frame that says most in one line: the innermost of a script, or outside the languages' own libraries. */
function telling(stack) {
  const script = (frame) => /\.py$/.test(frame.file ?? "") && !/\/lib\/python/.test(frame.file);
  const own = (frame) => frame.symbol && !/^(libc|libpthread|ld-linux)[.-]/.test(baseName(frame.module))
    && !/^\/rustc\/|\/\.rustup\/|\/library\/(std|core|alloc)\/src\//.test(frame.file ?? "");
  return stack.find(script) ?? stack.find(own) ?? stack[0];
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
for (const process of report.processes) {
  process.history = points(process.history);
  process.findings = [];
  processOf.set(processKey(process), process);
}

for (const entry of [...report.findings, ...report.failures]) {
  entry.stack = entry.stack.map((frame) => report.frames[frame]);
}

for (const finding of report.findings) {
  finding.history = points(finding.history);
  finding.process = processOf.get(processKey(finding));
  finding.process?.findings.push(finding);
  finding.words = wordsOf(finding, finding.process, [finding]);
}

for (const process of report.processes) process.words = wordsOf(process, process, process.findings);

/** What a filter looks at, by place and all together, in lower case. */
function wordsOf(entry, process, findings) {
  const stacks = findings.flatMap((finding) => finding.stack);
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
