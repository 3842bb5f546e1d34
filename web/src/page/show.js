// Text, numbers and elements. What others wrote becomes text and never markup.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

export function bytes(count) {
  let at = 0;
  let value = count;
  while (value >= 999.5 && at < UNITS.length - 1) {
    value /= 1024;
    at += 1;
  }
  const digits = at > 0 && value < 99.95 ? (value < 9.995 ? 2 : 1) : 0;
  return `${value.toFixed(digits)} ${UNITS[at]}`;
}

export const rate = (count) => `${bytes(count)}/s`;

export function time(seconds) {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

// A share is never shown as everything or nothing when it is not.
export function percent(part, whole) {
  if (whole === 0 || part >= whole) return "100 %";
  const value = Math.floor((part / whole) * 1000) / 10;
  return `${value < 10 && value > 0 ? value.toFixed(1) : Math.floor(value)} %`;
}

export const count = (number, one) => `${number.toLocaleString("en")} ${one}${number === 1 ? "" : "s"}`;

// Characters that hide, or that change the direction of others, are shown as their number.
export function name(text) {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu, (character) => `\\u{${character.codePointAt(0).toString(16)}}`);
}

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// Writes only what differs, so that a selection stays and a screen reader keeps quiet.
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function mark(node, attribute, value) {
  if (node.getAttribute(attribute) !== value) node.setAttribute(attribute, value);
}

// Makes the children of `parent` those of `keys`, in order: kept ones stay the same elements.
export function keyed(parent, keys, make, update) {
  const there = parent.kept ?? (parent.kept = new Map());
  const wanted = new Set(keys);
  for (const [key, child] of there) {
    if (!wanted.has(key)) {
      child.remove();
      there.delete(key);
    }
  }
  let before = null;
  for (const key of keys) {
    let child = there.get(key);
    if (!child) {
      child = make(key);
      there.set(key, child);
    }
    const place = before ? before.nextSibling : parent.firstChild;
    if (place !== child) parent.insertBefore(child, place);
    update(child, key);
    before = child;
  }
}

// The colours of the present scheme.
export function colours(...names) {
  const style = getComputedStyle(document.documentElement);
  return names.map((one) => style.getPropertyValue(`--${one}`).trim());
}

// A canvas in the size that it has on the page, and its context in those units; null while it has none.
export function canvas(node, height) {
  const width = node.clientWidth;
  if (width === 0) return null;
  const dots = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(width * dots), Math.round(height * dots)];
  if (node.width !== w) node.width = w;
  if (node.height !== h) node.height = h;
  const context = node.getContext("2d");
  context.setTransform(dots, 0, 0, dots, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}
