// Rates over time: what is received above, what is given behind it.

import { canvas, colours, mark, rate, time } from "./show.js";

const HEIGHT = () => (window.innerWidth < 480 ? 110 : 150);

export function chart(node, history, down, up) {
  const points = Object.keys(history.points).map(Number).sort((a, b) => a - b).map((at) => history.points[at]);
  points.push([down, up]);
  const span = history.interval_seconds * Math.max(points.length - 1, 1);
  const most = Math.max(...points.flat(), 1);
  mark(node, "aria-label", `Rates over ${time(span)}: now ${rate(down)} received and ${rate(up)} given; at most ${rate(most)}`);
  const drawn = canvas(node, HEIGHT());
  if (!drawn) return;
  const { context, width, height } = drawn;
  const [edge, soft, colourDown, colourUp] = colours("edge", "soft", "down", "up");
  const [top, bottom] = [18, height - 18];
  const x = (at) => (points.length === 1 ? width : (at / (points.length - 1)) * width);
  const y = (value) => bottom - (value / most) * (bottom - top);
  context.font = "12px system-ui, sans-serif";
  context.lineWidth = 1;
  context.strokeStyle = edge;
  for (const part of [0, 0.5, 1]) {
    context.beginPath();
    context.moveTo(0, Math.round(y(most * part)) + 0.5);
    context.lineTo(width, Math.round(y(most * part)) + 0.5);
    context.stroke();
  }
  area(context, points, 1, colourUp, x, y, bottom);
  area(context, points, 0, colourDown, x, y, bottom);
  context.fillStyle = soft;
  context.fillText(rate(most), 0, 12);
  context.fillText(`${time(span)} ago`, 0, height - 3);
  context.textAlign = "right";
  context.fillText("now", width, height - 3);
  context.textAlign = "left";
}

function area(context, points, which, colour, x, y, bottom) {
  const line = () => {
    context.beginPath();
    points.forEach((point, at) => (at === 0 ? context.moveTo(x(at), y(point[which])) : context.lineTo(x(at), y(point[which]))));
  };
  line();
  context.lineTo(x(points.length - 1), bottom);
  context.lineTo(x(0), bottom);
  context.fillStyle = colour;
  context.globalAlpha = 0.14;
  context.fill();
  context.globalAlpha = 1;
  line();
  context.strokeStyle = colour;
  context.lineWidth = 1.75;
  context.lineJoin = "round";
  context.stroke();
}
