// Elements. Text from outside becomes text nodes only; nothing here reads markup.

const SVG_SPACE = "http://www.w3.org/2000/svg";

/** Characters that move a terminal's cursor or turn the direction of text; a page shows that they are there. */
// eslint-disable-next-line no-control-regex
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/**
 * Returns text with each invisible control character replaced.
 * @param {unknown} text
 * @returns {string}
 */
export function clean(text) {
  return String(text ?? "").replace(UNSEEN, "\ufffd");
}

/**
 * Returns a sentence: a number and its unit stay in one line.
 * @param {unknown} text
 */
export function prose(text) {
  return clean(text).replace(/(\d) (?=%|(?:ms|s|MB)\b)/g, "$1\u00a0");
}

/**
 * Returns at most `length` characters of a text.
 * @param {unknown} text
 * @param {number} length
 * @returns {string}
 */
export function shorten(text, length) {
  const all = Array.from(clean(text));
  return all.length <= length ? all.join("") : all.slice(0, length - 1).join("") + "\u2026";
}

/**
 * @param {Element} made
 * @param {Object<string, any>} attributes
 * @param {(Node|string|number|null|undefined|false)[]} children
 */
function fill(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : clean(value));
  }
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    made.append(child instanceof Node ? child : document.createTextNode(clean(child)));
  }
}

/**
 * Builds an HTML element; attributes that begin with `on` are listeners.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Object<string, any>} [attributes]
 * @param {...(Node|string|number|null|undefined|false)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  fill(made, attributes, children);
  return made;
}

/**
 * Builds an SVG element.
 * @template {keyof SVGElementTagNameMap} T
 * @param {T} tag
 * @param {Object<string, any>} [attributes]
 * @param {...(Node|string|number|null|undefined|false)} children
 * @returns {SVGElementTagNameMap[T]}
 */
export function vector(tag, attributes = {}, ...children) {
  const made = document.createElementNS(SVG_SPACE, tag);
  fill(made, attributes, children);
  return made;
}

/**
 * Returns the element of an id, which the page has.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`no element #${id}`);
  return found;
}

/**
 * Sets the text of an element if it differs, so that nothing is laid out again without need.
 * @param {Element} target
 * @param {string} text
 */
export function setText(target, text) {
  const next = clean(text);
  if (target.textContent !== next) target.textContent = next;
}

/**
 * Sets an attribute if it differs.
 * @param {Element} target
 * @param {string} name
 * @param {string} value
 */
export function setAttribute(target, name, value) {
  const next = clean(value);
  if (target.getAttribute(name) !== next) target.setAttribute(name, next);
}

/**
 * Returns a button that copies a command, with the command next to it.
 * @param {string} command
 * @returns {HTMLElement}
 */
export function commandLine(command) {
  // A flag such as `-n` is not broken after its hyphen.
  const words = command.split(" ").flatMap((word, index) => [index ? " " : "", element("span", { class: "word" }, word)]);
  const code = element("code", {}, ...words);
  const button = element("button", { type: "button", class: "copy", "aria-label": `Copy the command: ${command}` }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(code.textContent ?? "");
      button.textContent = "Copied";
    } catch {
      getSelection()?.selectAllChildren(code);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  return element("div", { class: "command" }, code, button);
}
