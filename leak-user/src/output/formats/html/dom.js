// Elements made from text. Nothing here or elsewhere parses markup: text from the report is text.

const byId = (id) => document.getElementById(id);

/** Appends children, of which strings become text and what is null, undefined or false is left out. */
function append(parent, children) {
  for (const child of children.flat(2)) {
    if (child === null || child === undefined || child === false) continue;
    parent.append(child);
  }
  return parent;
}

/** An element: `make("p.hint", "text", other)`, with attributes in an object as first child. */
function make(name, ...children) {
  const [tag, ...classes] = name.split(".");
  const made = document.createElement(tag);
  if (classes.length) made.className = classes.join(" ");
  return append(withAttributes(made, children), children);
}

/** The same for SVG. */
function makeSvg(name, ...children) {
  const [tag, ...classes] = name.split(".");
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  if (classes.length) made.setAttribute("class", classes.join(" "));
  return append(withAttributes(made, children), children);
}

/** Takes the attributes from the front of the children. Names of attributes are ours, never of the report. */
function withAttributes(made, children) {
  const [first] = children;
  const given = first && typeof first === "object" && !(first instanceof Node) && !Array.isArray(first);
  if (given) {
    for (const [name, value] of Object.entries(children.shift())) {
      if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
    }
  }
  return made;
}

/** Puts children into an element in place of what it has. */
function fill(parent, ...children) {
  parent.replaceChildren();
  return append(parent, children);
}

/** A button that is pressed or not. */
function toggle(label, pressed, act) {
  const button = make("button", { type: "button", "aria-pressed": String(pressed) }, label);
  button.addEventListener("click", act);
  return button;
}

/** A list that opens; its content is made when it does. */
function disclosure(summary, open, content) {
  const made = make("details", { open }, make("summary", summary));
  const show = () => {
    if (made.open && made.childElementCount === 1) append(made, [content()]);
  };
  made.addEventListener("toggle", show);
  made.show = show;
  show();
  return made;
}
