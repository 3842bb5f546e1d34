// Who has how much of each file: a grid of members that fill. Arrow keys go through it; what is known of the chosen
// member stands below.

import { bytes, count, element, keyed, mark, name, percent, rate, write } from "./show.js";

// From this number on a member is a small square without text.
const MANY = 120;
const STATES = { complete: "complete", incomplete: "on the way", silent: "silent", left: "has left", unknown: "does not tell" };

export function showSwarms(parent, swarms, files) {
  const order = Object.keys(swarms).sort((a, b) => size(swarms[b]) - size(swarms[a]) || (a < b ? -1 : 1));
  keyed(parent, order, make, (card, hash) => update(card, hash, swarms[hash], files[hash]));
}

const size = (swarm) => swarm.complete + swarm.incomplete + swarm.silent + swarm.unknown;

function make(hash) {
  const parts = {
    title: element("h2", { id: `swarm-${hash}` }),
    state: element("p", { class: "aside" }),
    grid: element("ul", { class: "grid", role: "listbox", tabindex: "0", "aria-labelledby": `swarm-${hash}` }),
    facts: element("dl", { class: "facts", "aria-live": "polite" }),
  };
  const card = element("article", { class: "panel swarm", "data-hash": hash },
    element("div", { class: "title" }, parts.title, parts.state), parts.grid, parts.facts);
  card.parts = parts;
  parts.grid.addEventListener("keydown", (event) => move(card, event));
  parts.grid.addEventListener("click", (event) => choose(card, event.target.closest("li")));
  parts.grid.addEventListener("focus", () => choose(card, chosen(card) ?? parts.grid.firstElementChild));
  return card;
}

function state(member, blocks) {
  if (member.presence !== "here") return member.presence;
  if (member.complete) return "complete";
  return member.blocks_done === undefined || !blocks ? "unknown" : "incomplete";
}

const done = (member, blocks) => {
  if (member.complete) return "100 %";
  return member.blocks_done === undefined || !blocks ? "unknown" : percent(member.blocks_done, blocks);
};

function update(card, hash, swarm, file) {
  const { parts } = card;
  const title = file?.file ?? swarm.file;
  write(parts.title, title === undefined ? `${hash.slice(0, 16)}…` : `Who has ${name(title)}`);
  const facts = [`${swarm.complete} complete`, `${swarm.incomplete} on the way`];
  if (swarm.seeders > 0) facts.push(count(swarm.seeders, "seeder"));
  if (swarm.silent > 0) facts.push(`${swarm.silent} silent`);
  if (swarm.unknown > 0) facts.push(`${swarm.unknown} unknown`);
  write(parts.state, facts.join(" · "));
  const { members } = swarm;
  const keys = Object.keys(members).sort();
  parts.grid.hidden = keys.length === 0;
  parts.facts.hidden = keys.length === 0;
  parts.grid.classList.toggle("many", keys.length >= MANY);
  const blocks = swarm.blocks ?? file?.blocks;
  keyed(parts.grid, keys, (key) => tile(hash, key), (node, key) => fill(node, members[key], blocks));
  card.swarm = swarm;
  card.blocks = blocks;
  tell(card);
}

let tiles = 0;

function tile(hash, key) {
  tiles += 1;
  const node = element("li", { role: "option", id: `member-${tiles}`, "aria-selected": "false" },
    element("span", { class: "fill", "aria-hidden": "true" }), element("span", { class: "name" }), element("span", { class: "done" }));
  node.key = key;
  return node;
}

function fill(node, member, blocks) {
  const [level, title, share] = node.children;
  const known = member.complete ? 1 : member.blocks_done !== undefined && blocks ? Math.min(1, member.blocks_done / blocks) : 0;
  const height = `${Math.round(known * 1000) / 10}%`;
  if (level.style.height !== height) level.style.height = height;
  const shown = member.name ? name(member.name) : member.address;
  write(title, shown);
  write(share, done(member, blocks));
  mark(node, "data-state", state(member, blocks));
  mark(node, "aria-label", `${shown}: ${done(member, blocks)}`);
}

const chosen = (card) => card.parts.grid.querySelector('[aria-selected="true"]');

function choose(card, node) {
  if (!node) return;
  const before = chosen(card);
  if (before && before !== node) {
    before.setAttribute("aria-selected", "false");
    before.classList.remove("here");
  }
  node.setAttribute("aria-selected", "true");
  node.classList.add("here");
  card.parts.grid.setAttribute("aria-activedescendant", node.id);
  tell(card);
}

function move(card, event) {
  const all = [...card.parts.grid.children];
  if (all.length === 0) return;
  const at = all.indexOf(chosen(card));
  const columns = all.filter((node) => node.offsetTop === all[0].offsetTop).length;
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns };
  let to = at + (steps[event.key] ?? 0);
  if (event.key === "Home") to = 0;
  else if (event.key === "End") to = all.length - 1;
  else if (!(event.key in steps)) return;
  event.preventDefault();
  const node = all[Math.max(0, Math.min(all.length - 1, to))];
  choose(card, node);
  node.scrollIntoView({ block: "nearest" });
}

function tell(card) {
  const member = card.swarm?.members[chosen(card)?.key];
  const facts = [];
  if (member) {
    if (member.name) facts.push(["name", name(member.name)]);
    facts.push(["address", member.address], ["state", member.seeder ? "seeder" : STATES[state(member, card.blocks)]], ["has", done(member, card.blocks)]);
    if (member.bytes_per_second !== undefined) facts.push(["rate", rate(member.bytes_per_second)]);
    if (member.bytes_received !== undefined) facts.push(["received", bytes(member.bytes_received)]);
    if (member.bytes_given !== undefined) facts.push(["given", bytes(member.bytes_given)]);
    if (member.program) facts.push(["program", name(member.program)]);
  }
  const texts = new Map(facts);
  keyed(card.parts.facts, [...texts.keys()], (key) => element("div", {}, element("dt", {}, key), element("dd")),
    (node, key) => write(node.lastChild, texts.get(key)));
}
