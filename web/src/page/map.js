// The map of a file's blocks: docs/api.md says what the letters mean.

import { canvas, colours } from "./show.js";

// "3HF2n" is "HHHFnn".
export function letters(map) {
  let all = "";
  for (const [, count, letter] of map.matchAll(/(\d*)([A-Za-z])/g)) all += letter.repeat(count === "" ? 1 : Number(count));
  return all;
}

const MISSING = { n: 3, r: 4, u: 5, m: 6 };

export function drawMap(node, map) {
  const cells = letters(map);
  const width = node.clientWidth;
  if (width === 0) return;
  // As near to squares as fills the lines, not smaller than a finger of a mouse can tell apart.
  const size = Math.max(7, Math.min(22, Math.floor(Math.sqrt((width * 120) / Math.max(cells.length, 1)))));
  const columns = Math.max(1, Math.min(cells.length, Math.floor(width / size)));
  const lines = Math.ceil(cells.length / columns);
  const height = Math.max(lines * size, size);
  node.style.height = `${height}px`;
  const drawn = canvas(node, height);
  if (!drawn) return;
  const { context } = drawn;
  const palette = colours("here", "part", "flight", "none", "rare", "some", "many");
  const step = width / columns;
  const gap = size > 9 ? 2 : 1;
  [...cells].forEach((letter, at) => {
    const [left, top] = [(at % columns) * step, Math.floor(at / columns) * size];
    const box = (colour, share) => {
      context.fillStyle = colour;
      const full = size - gap;
      context.fillRect(left, top + full * (1 - share), step - gap, full * share);
    };
    if (letter === "H") box(palette[0], 1);
    else if (letter === "F") box(palette[2], 1);
    else if (letter in MISSING) box(palette[MISSING[letter]], 1);
    else {
      box(palette[6], 1);
      box(palette[0], (letter.charCodeAt(0) - 96) / 8);
    }
  });
}
