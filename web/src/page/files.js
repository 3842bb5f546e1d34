// A card for each file: progress, map of blocks, links.

import { bytes, count, element, keyed, mark, name, percent, rate, time, write } from "./show.js";
import { drawMap } from "./map.js";

const LEGEND = [["here", "here"], ["flight", "in flight"], ["none", "had by none"], ["rare", "by one"], ["some", "by few"], ["many", "by many"]];
const STATES = { fetching: "fetching its .cascade file", checking: "checking", progress: "downloading", seeding: "seeding", done: "complete", error: "failed" };

export function showFiles(parent, files) {
  const order = Object.keys(files).sort((a, b) => (files[a].blocks_done === files[a].blocks) - (files[b].blocks_done === files[b].blocks) || (files[a].file < files[b].file ? -1 : 1));
  keyed(parent, order, make, (card, hash) => update(card, files[hash]));
}

export function redrawMaps(parent) {
  for (const card of parent.kept?.values() ?? []) drawMap(card.parts.map, card.map);
}

function make(hash) {
  const parts = {
    title: element("h2"),
    state: element("p", { class: "aside" }),
    progress: element("progress", { max: "1", value: "0" }),
    map: element("canvas", { class: "map", role: "img" }),
    legend: element("ul", { class: "legend", "aria-hidden": "true" }, ...LEGEND.map(([kind, text]) => element("li", { class: kind }, text))),
    links: element("details"),
    summary: element("summary"),
    rows: element("tbody"),
  };
  const head = element("tr", {});
  for (const [text, kind] of [["peer", ""], ["role", ""], ["has", ""], ["rate", "number"], ["received", "number"]]) {
    head.append(element("th", { scope: "col", class: kind }, text));
  }
  const table = element("table", {}, element("thead", {}, head), parts.rows);
  parts.links.append(parts.summary, element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Links" }, table));
  const card = element("article", { class: "panel file", "data-hash": hash },
    element("div", { class: "title" }, parts.title, parts.state), parts.progress, parts.map, parts.legend, parts.links);
  card.parts = parts;
  return card;
}

function update(card, file) {
  const { parts } = card;
  const shown = name(file.file);
  write(parts.title, shown);
  const facts = [STATES[file.state] ?? file.state];
  if (file.blocks_done < file.blocks) facts.push(`${percent(file.blocks_done, file.blocks)} of ${bytes(file.length)}`);
  else if (file.length > 0) facts.push(bytes(file.length));
  if (file.bytes_per_second > 0 && file.blocks_done < file.blocks) facts.push(rate(file.bytes_per_second));
  if (file.seconds_left !== undefined) facts.push(`${time(file.seconds_left)} left`);
  if (file.bytes_given > 0 && file.length > 0) facts.push(`${(file.bytes_given / file.length).toFixed(2)} copies given`);
  write(parts.state, facts.join(" · "));
  parts.progress.hidden = file.blocks_done === file.blocks && file.blocks > 0;
  parts.progress.value = file.blocks > 0 ? file.blocks_done / file.blocks : 0;
  mark(parts.progress, "aria-label", `${shown}: ${percent(file.blocks_done, file.blocks)}`);
  mark(parts.map, "aria-label", `Blocks of ${shown}: ${file.blocks_done} of ${file.blocks} are here, ${file.in_flight} are in flight`);
  parts.legend.hidden = file.blocks_done === file.blocks;
  if (card.map !== file.map) {
    card.map = file.map;
    drawMap(parts.map, file.map);
  }
  mark(card, "data-have", String(file.blocks_done));
  showLinks(parts, file);
}

function showLinks(parts, file) {
  const order = Object.keys(file.links).sort((a, b) => file.links[b].bytes_per_second - file.links[a].bytes_per_second || (a < b ? -1 : 1));
  parts.links.hidden = order.length === 0;
  write(parts.summary, `${count(order.length, "link")} to other peers`);
  if (!parts.links.opened && order.length > 0) {
    // A few are shown at once, many when they are asked for.
    parts.links.open = order.length <= 4;
    parts.links.opened = true;
  }
  if (!parts.links.open) return;
  const row = () => element("tr", {}, element("td"), element("td"), element("td", {}, element("span", { class: "bar", "aria-hidden": "true" }, element("i")), element("span")), element("td", { class: "number" }), element("td", { class: "number" }));
  keyed(parts.rows, order, row, (line, address) => {
    const link = file.links[address];
    const [peer, role, has, speed, received] = line.children;
    write(peer, address);
    write(role, link.role);
    const known = link.blocks_done !== undefined && file.blocks > 0;
    has.firstChild.firstChild.style.width = known ? `${(100 * link.blocks_done) / file.blocks}%` : "0";
    write(has.lastChild, known ? percent(link.blocks_done, file.blocks) : "unknown");
    write(speed, rate(link.bytes_per_second));
    write(received, bytes(link.bytes));
  });
}
