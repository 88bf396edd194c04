// Lines over the last minute or so, and figures of them.

export const SPAN_S = 90;

/** Values with their times, kept for SPAN_S. */
export class Series {
  constructor() {
    this.points = [];
  }

  add(time, value) {
    this.points.push([time, value]);
    while (this.points.length && this.points[0][0] < time - SPAN_S) this.points.shift();
  }

  get last() {
    return this.points.at(-1)?.[1];
  }

  median() {
    const sorted = this.points.map(([, v]) => v).filter((v) => v !== null).sort((a, b) => a - b);
    return sorted.length ? sorted[Math.floor(sorted.length / 2)] : null;
  }

  worst() {
    return this.points.reduce((most, [, v]) => (v !== null && v > most ? v : most), 0);
  }
}

/** A number with as many digits as it deserves. */
export function short(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

/** A count with thin spaces. */
export function count(value) {
  return String(value).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

function nice(most) {
  const power = 10 ** Math.floor(Math.log10(Math.max(most, 1e-3)));
  for (const step of [1, 1.5, 2, 3, 4, 5, 6, 8, 10]) {
    if (most <= step * power) return step * power;
  }
  return 10 * power;
}

/** Draws `lines`, [{series, colour (a CSS variable), fill}], from 0 to a round number above the greatest. */
export function draw(canvas, lines, now) {
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (!width || !height) return;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const css = getComputedStyle(document.documentElement);
  const ink = (name) => css.getPropertyValue(name).trim();
  const g = canvas.getContext("2d");
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.clearRect(0, 0, width, height);
  const top = nice(Math.max(...lines.map((line) => line.series.worst()), 0));
  const [left, right, high, low] = [34, width - 2, 8, height - 18];
  const x = (time) => right - ((now - time) / SPAN_S) * (right - left);
  const y = (value) => low - (value / top) * (low - high);
  g.font = "10.5px system-ui, sans-serif";
  g.fillStyle = ink("--dim");
  g.strokeStyle = ink("--line");
  g.lineWidth = 1;
  g.textBaseline = "middle";
  for (const part of [0, 0.5, 1]) {
    const at = Math.round(y(part * top)) + 0.5;
    g.beginPath();
    g.moveTo(left, at);
    g.lineTo(right, at);
    g.stroke();
    g.textAlign = "right";
    g.fillText(short(part * top).replace(/\.?0+$/, "") || "0", left - 6, at);
  }
  g.textBaseline = "alphabetic";
  for (const [ago, align] of [[SPAN_S, "left"], [60, "center"], [30, "center"], [0, "right"]]) {
    g.textAlign = align;
    g.fillText(ago ? `−${ago} s` : "now", x(now - ago), height - 4);
  }
  for (const { series, colour, fill } of lines) {
    g.strokeStyle = ink(colour);
    g.lineWidth = 1.6;
    g.lineJoin = "round";
    g.beginPath();
    let open = false;
    let first = null;
    let end = null;
    for (const [time, value] of series.points) {
      if (value === null || time < now - SPAN_S) {
        open = open && value !== null;
        continue;
      }
      const at = [Math.max(x(time), left), y(value)];
      if (open) g.lineTo(...at);
      else g.moveTo(...at);
      open = true;
      first ??= at;
      end = at;
    }
    g.stroke();
    if (fill && first) {
      g.lineTo(end[0], low);
      g.lineTo(first[0], low);
      g.closePath();
      g.globalAlpha = 0.12;
      g.fillStyle = ink(colour);
      g.fill();
      g.globalAlpha = 1;
    }
  }
}
