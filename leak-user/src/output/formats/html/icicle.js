// The stacks of the findings that are shown, as an icicle: callers above callees, each as wide as what is outstanding
// below it. Each cell is a button, so that it can be reached with keys and its name is read out.

/** Cells narrower than this share of the icicle are left out: they could not be hit. */
const NARROWEST = 0.002;

/** A tree of the stacks; `value` weighs a finding. Iterative throughout: a stack may be deep. */
function tree(findings, value) {
  const root = { name: "all that is shown", detail: "", module: "", value: 0, children: new Map(), parent: null, depth: 0 };
  for (const finding of findings) {
    const weight = value(finding);
    if (!(weight > 0)) continue;
    let node = root;
    node.value += weight;
    for (const step of path(finding)) {
      const key = `${step.name}\n${step.module}`;
      let child = node.children.get(key);
      if (!child) {
        child = { ...step, value: 0, children: new Map(), parent: node, depth: node.depth + 1 };
        node.children.set(key, child);
      }
      child.value += weight;
      node = child;
    }
  }
  return root;
}

/** From the process to the kind, through the frames from the outermost. */
function path(finding) {
  const frames = finding.stack.map((frame) => ({
    name: frameName(frame), detail: framePlace(frame), module: frame.module, inlined: frame.inlined,
  }));
  return [
    { name: finding.comm || "?", detail: "process", module: "", sort: "process" },
    ...(frames.length ? frames.reverse() : [{ name: "no stack", detail: "its acquisition was not seen", module: "" }]),
    { name: finding.kind, detail: "kind of resource", module: "", sort: "kind" },
  ];
}

/** One of a few hues for a module; the same for the same name. */
function hue(module) {
  let hash = 0;
  for (const character of baseName(module)) hash = (hash * 31 + character.codePointAt(0)) >>> 0;
  return hash % 6;
}

/** Draws the tree into a container. */
function icicle(container, findings, unit) {
  const root = tree(findings, (finding) => (unit === "bytes" ? finding.bytes : finding.outstanding));
  const amount = (value) => (unit === "bytes" ? bytes(value) : number(value));
  if (!root.value) {
    fill(container, make("p.empty", unit === "bytes" ? "Nothing that is shown has a size." : "Nothing to show."));
    return;
  }
  const draw = (top, focused) => {
    const cells = place(root, top).map(({ node, left, width, row }) => {
      const button = cell(node, { left, width, row }, root, amount);
      button.addEventListener("click", () => draw(node === top && node.parent ? node.parent : node, node));
      return { node, button, left, row };
    });
    const rows = Math.max(...cells.map(({ row }) => row)) + 1;
    const stage = make("div.stage", cells.map(({ button }) => button));
    stage.style.setProperty("--rows", rows);
    fill(container, stage);
    moveWithKeys(stage, cells, focused, () => draw(root, root));
  };
  draw(root, null);
}

/** Places of the cells when `top` is as wide as all: it and those above it first, then those below it. */
function place(root, top) {
  const placed = [];
  for (let node = top; node; node = node.parent) placed.unshift({ node, left: 0, width: 1, row: node.depth });
  const pending = [{ node: top, left: 0, width: 1 }];
  while (pending.length) {
    const { node, left, width } = pending.pop();
    let at = left;
    for (const child of [...node.children.values()].sort((a, b) => b.value - a.value)) {
      const share = width * (child.value / node.value);
      if (share >= NARROWEST) {
        placed.push({ node: child, left: at, width: share, row: child.depth });
        pending.push({ node: child, left: at, width: share });
      }
      at += share;
    }
  }
  return placed;
}

function cell(node, { left, width, row }, root, amount) {
  const share = ((node.value / root.value) * 100).toFixed(node.value * 10 < root.value ? 1 : 0);
  const says = `${node.name}${node.inlined ? " (inlined)" : ""}: ${amount(node.value)}, ${share} %`;
  const sort = node.sort ?? (node.parent ? (node.module ? `hue-${hue(node.module)}` : "unknown") : "root");
  const where = [node.detail, node.module].filter(Boolean).join("\n");
  const button = make(`button.cell.${sort}`, { type: "button", tabindex: -1, "aria-label": says, title: where ? `${says}\n${where}` : says },
    make("span.name", node.name), make("span.value", amount(node.value)));
  button.style.left = `${left * 100}%`;
  button.style.width = `${width * 100}%`;
  button.style.setProperty("--row", row);
  return button;
}

/** One cell is in the order of tabs; arrows go to callers, callees and neighbours. */
function moveWithKeys(stage, cells, focused, reset) {
  let current = cells.find(({ node }) => node === focused) ?? cells[0];
  current.button.tabIndex = 0;
  if (focused) current.button.focus();
  const go = (to) => {
    if (!to) return;
    current.button.tabIndex = -1;
    current = to;
    current.button.tabIndex = 0;
    current.button.focus();
  };
  stage.addEventListener("focusin", (event) => {
    const reached = cells.find(({ button }) => button === event.target);
    if (reached && reached !== current) go(reached);
  });
  stage.addEventListener("keydown", (event) => {
    const sameRow = cells.filter(({ row }) => row === current.row).sort((a, b) => a.left - b.left);
    const place = sameRow.indexOf(current);
    const to = {
      ArrowUp: () => cells.find(({ node }) => node === current.node.parent),
      ArrowDown: () => cells.find(({ node }) => node.parent === current.node),
      ArrowLeft: () => sameRow[place - 1],
      ArrowRight: () => sameRow[place + 1],
    }[event.key];
    if (to) {
      event.preventDefault();
      go(to());
    } else if (event.key === "Escape") {
      event.stopPropagation();
      reset();
    }
  });
}
