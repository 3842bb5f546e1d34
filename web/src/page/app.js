// Shows the state of the program as it changes.

import { bytes, element, keyed, rate, time, write } from "./show.js";
import { watch } from "./stream.js";
import { chart } from "./chart.js";
import { redrawMaps, showFiles } from "./files.js";
import { showSwarms } from "./room.js";

const $ = (id) => document.getElementById(id);
const CONNECTION = {
  live: ["live", "live"],
  lost: ["lost", "no connection; trying again"],
  ended: ["lost", "the program has ended; this was its last state"],
  refused: ["lost", "refused: open the address that the program printed"],
};

let state = null;

function numbers() {
  const files = Object.values(state.files);
  const swarms = Object.values(state.swarms);
  const sum = (values) => values.reduce((all, value) => all + value, 0);
  const shown = new Map();
  if (state.tracker) {
    shown.set("files", ["files", state.tracker.swarms.toLocaleString("en")]);
    shown.set("peers", ["registered peers", state.tracker.registrations.toLocaleString("en")]);
  } else {
    const complete = files.filter((file) => file.blocks > 0 && file.blocks_done === file.blocks);
    shown.set("down", [`down, ${bytes(state.down.bytes)} so far`, rate(state.down.bytes_per_second)]);
    shown.set("up", [`up, ${bytes(state.up.bytes)} so far`, rate(state.up.bytes_per_second)]);
    if (files.length > 1) shown.set("complete", ["files complete", `${complete.length} of ${files.length}`]);
  }
  const [complete, incomplete] = [sum(swarms.map((swarm) => swarm.complete)), sum(swarms.map((swarm) => swarm.incomplete))];
  if (complete + incomplete > 0) shown.set("receivers", ["receivers complete", `${complete} of ${complete + incomplete}`]);
  shown.set("time", ["running", time(state.uptime_seconds)]);
  keyed($("numbers"), [...shown.keys()],
    (key) => element("div", { class: key }, element("dt"), element("dd")),
    (node, key) => [...node.children].forEach((part, at) => write(part, shown.get(key)[at])));
}

function draw() {
  if (!state.tracker) chart($("chart"), state.history, state.down.bytes_per_second, state.up.bytes_per_second);
}

watch(
  (now) => {
    state = now;
    const where = state.address ? ` on ${state.address}` : "";
    write($("program"), `${state.program}${where}`);
    write($("version"), `version ${state.version}`);
    $("rates").hidden = Boolean(state.tracker);
    numbers();
    draw();
    showFiles($("files"), state.files);
    showSwarms($("swarms"), state.swarms, state.files);
    $("empty").hidden = Object.keys(state.files).length + Object.keys(state.swarms).length > 0;
    document.documentElement.dataset.shown = "true";
  },
  (how) => {
    const [kind, text] = CONNECTION[how];
    $("connection").dataset.state = kind;
    write($("connection"), text);
  },
);

const again = () => {
  if (!state) return;
  draw();
  redrawMaps($("files"));
};
new ResizeObserver(again).observe($("main"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
