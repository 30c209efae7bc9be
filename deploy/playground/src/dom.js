// Elements, made in one call each. Texts are set as texts: nothing from a rule or an answer is ever read as HTML.

/** Makes an element: `h("button", { class: "x", onclick }, "text", child)`. */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Puts children in the place of those of an element. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false));
}

/** The little of Markdown that explanations are written in. */
export function markdown(text) {
  const root = h("div", { class: "words" });
  const blocks = text.split(/```[a-z]*\n?/);
  blocks.forEach((block, number) => {
    if (number % 2 === 1) {
      root.append(h("pre", {}, block.trimEnd()));
      return;
    }
    for (const part of block.split(/\n{2,}/).filter((part) => part.trim())) {
      const lines = part.trim().split("\n");
      const items = lines.filter((line) => line.startsWith("- "));
      const rest = lines.filter((line) => !line.startsWith("- "));
      if (rest.length) root.append(h("p", {}, inline(rest.join(" "))));
      if (items.length) root.append(h("ul", {}, items.map((item) => h("li", {}, inline(item.slice(2))))));
    }
  });
  return root;
}

/** Code in backticks and words in bold. */
export function inline(text) {
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*)/).map((part) => {
    if (part.startsWith("`") && part.length > 2) return h("code", {}, part.slice(1, -1));
    if (part.startsWith("**") && part.length > 4) return h("strong", {}, part.slice(2, -2));
    return part;
  });
}

/** So many of something. */
export const count = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;
