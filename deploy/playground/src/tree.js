// An answer as a tree. Whoever chooses a value has its path written at the cursor.
import { Exact } from "./api.js";
import { count, h } from "./dom.js";

/** Members that are shown of one object or list, and levels that are open at first. */
const MOST = 200;
const OPEN = 4;

const is_branch = (value) => value !== null && typeof value === "object" && !(value instanceof Exact);
const escaped = (step) => String(step).replace(/~/g, "~0").replace(/\//g, "~1");

/** The step to an element of a list: the member by which it stands out, if there is one. */
function element(list, at) {
  const item = list[at];
  if (!is_branch(item) || Array.isArray(item)) return at;
  const out = Object.keys(item).find(
    (name) => item[name] === true && list.filter((other) => other?.[name] === true).length === 1,
  );
  return out ? { name: out, at } : at;
}

/** Makes trees; which branches are open is kept over evaluations. */
export function trees(choose) {
  const closed = new Map();

  /** The rows of one root of the document. */
  function rows(root, value, used) {
    const made = [];
    const walk = (name, value, pointer, steps, level) => {
      const branch = is_branch(value);
      const open = branch && (closed.has(pointer) ? !closed.get(pointer) : level < OPEN);
      made.push({ name, value, pointer, steps, level, branch, open, used: used[pointer] });
      if (!open) return;
      const members = Array.isArray(value) ? value.map((item, at) => [at, item]) : Object.entries(value);
      for (const [key, item] of members.slice(0, MOST)) {
        const step = Array.isArray(value) ? element(value, key) : key;
        walk(key, item, `${pointer}/${escaped(key)}`, [...steps, step], level + 1);
      }
      if (members.length > MOST) made.push({ more: members.length - MOST, level: level + 1 });
    };
    walk(root, value, `/${escaped(root)}`, [root], 0);
    return made;
  }

  /** A tree of one root. */
  return function tree(root, value, used) {
    const list = h("div", { role: "tree", class: "tree", "aria-label": `${root}: choose a value to write its path` });
    let focused = 0;

    function show(focus = false) {
      const all = rows(root, value, used);
      focused = Math.min(focused, all.length - 1);
      list.replaceChildren(...all.map((row, at) => element_of(row, at)));
      if (focus) list.children[focused]?.focus();
    }

    function toggle(row, open) {
      closed.set(row.pointer, !open);
      show(true);
    }

    function element_of(row, at) {
      if (row.more) return h("div", { class: "row more", style: null }, indent(row.level), `${count(row.more, "more member")}`);
      const value = row.branch ? summary(row.value, row.open) : leaf(row.value);
      const item = h(
        "div",
        {
          role: "treeitem",
          class: `row${row.branch ? " branch" : ""}${row.used ? " used" : ""}`,
          tabindex: at === focused ? "0" : "-1",
          "aria-level": row.level + 1,
          "aria-expanded": row.branch ? String(row.open) : undefined,
          title: row.used ? `used by ${row.used.join(", ")}` : undefined,
          "data-pointer": row.pointer,
        },
        indent(row.level),
        h("span", { class: "twist", "aria-hidden": "true" }, row.branch ? (row.open ? "▾" : "▸") : ""),
        h("span", { class: "key" }, String(row.name)),
        value,
        row.used ? h("span", { class: "by" }, h("span", { class: "unseen" }, ", used by "), row.used.join(", ")) : null,
      );
      item.addEventListener("click", (event) => {
        focused = at;
        if (row.branch && event.target.closest(".twist, .key")) return toggle(row, !row.open);
        choose(row.steps);
      });
      item.addEventListener("keydown", (event) => key(event, row, at));
      return item;
    }

    function key(event, row, at) {
      const move = (to) => {
        focused = Math.max(0, Math.min(to, list.children.length - 1));
        [...list.children].forEach((child, number) => (child.tabIndex = number === focused ? 0 : -1));
        list.children[focused].focus();
      };
      const keys = {
        ArrowDown: () => move(at + 1),
        ArrowUp: () => move(at - 1),
        Home: () => move(0),
        End: () => move(list.children.length - 1),
        ArrowRight: () => (row.branch && !row.open ? ((focused = at), toggle(row, true)) : move(at + 1)),
        ArrowLeft: () => (row.branch && row.open ? ((focused = at), toggle(row, false)) : move(at - 1)),
        Enter: () => choose(row.steps),
        " ": () => choose(row.steps),
      };
      const act = keys[event.key];
      if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      act();
    }

    show();
    return list;
  };
}

const indent = (level) => Array.from({ length: level }, () => h("span", { class: "indent" }));

function summary(value, open) {
  if (open) return null;
  const words = Array.isArray(value) ? `[ ${count(value.length, "item")} ]` : `{ ${count(Object.keys(value).length, "member")} }`;
  return h("span", { class: "value dim" }, words);
}

function leaf(value) {
  const kind = value instanceof Exact ? "number" : value === null ? "null" : typeof value;
  const text = value instanceof Exact ? value.digits : JSON.stringify(value);
  return h("span", { class: `value is-${kind}` }, text.length > 300 ? `${text.slice(0, 300)}…` : text);
}
