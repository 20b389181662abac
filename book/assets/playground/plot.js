/* What both playgrounds draw and build with: a plot on a canvas, and elements of the page. */
(() => {
  "use strict";
  const root = document.documentElement;
  const ground = () => (root.dataset.theme === "dark" ? 1 : 0);

  /* The neutral colours of dynlib.report.style, on a light ground and on a dark one. */
  const neutral = {
    ink: ["#1f2328", "#e6edf3"],
    muted: ["#59636e", "#9ea7b0"],
    grid: ["#d1d9e0", "#3d444d"],
  };

  /* An element with attributes and children; attributes that are functions are listeners. */
  function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (typeof value === "function") made.addEventListener(key, value);
      else made.setAttribute(key, value);
    }
    made.append(...children);
    return made;
  }

  /* A canvas with two axes, whose text alternative is `label`. `axes` holds [low, high] of x and
     y, their titles, and about how many ticks they should have, or where these are `at`. */
  class Plot {
    constructor(label, axes) {
      this.axes = { ticks: [6, 5], margin: [34, 12, 8, 34], logarithmic: false, ...axes };
      this.canvas = element("canvas", { role: "img", "aria-label": label });
      this.pen = this.canvas.getContext("2d");
    }

    /* Empty the canvas at its present size and draw the axes. */
    clear() {
      const [wide, high] = [this.canvas.clientWidth, this.canvas.clientHeight];
      const dense = window.devicePixelRatio || 1;
      this.canvas.width = Math.round(wide * dense);
      this.canvas.height = Math.round(high * dense);
      const [bottom, right, top, left] = this.axes.margin;
      this.box = { left, top, right: wide - right, bottom: high - bottom };
      const { pen, box } = this;
      pen.setTransform(dense, 0, 0, dense, 0, 0);
      pen.font = `13px ${getComputedStyle(document.body).fontFamily}`;
      pen.lineWidth = 1;
      pen.strokeStyle = neutral.grid[ground()];
      pen.fillStyle = neutral.muted[ground()];
      const [xs, ys] = [this.ticks(0), this.ticks(1)];
      for (const [value, text] of xs) {
        pen.beginPath();
        pen.moveTo(this.x(value), box.top);
        pen.lineTo(this.x(value), box.bottom);
        pen.stroke();
        pen.textAlign = "center";
        pen.textBaseline = "top";
        if (bottom > 14) pen.fillText(text, this.x(value), box.bottom + 4);
      }
      for (const [value, text] of ys) {
        pen.beginPath();
        pen.moveTo(box.left, this.y(value));
        pen.lineTo(box.right, this.y(value));
        pen.stroke();
        pen.textAlign = "right";
        pen.textBaseline = "middle";
        pen.fillText(text, box.left - 5, this.y(value));
      }
      pen.fillStyle = neutral.ink[ground()];
      const { xtitle, ytitle } = this.axes;
      if (xtitle) {
        pen.textAlign = "right";
        pen.textBaseline = "bottom";
        pen.fillText(xtitle, box.right, box.bottom + bottom);
      }
      if (ytitle) {
        pen.textAlign = "left";
        pen.textBaseline = "top";
        pen.fillText(ytitle, box.left + 4, box.top);
      }
    }

    /* Round values on an axis, with their text. */
    ticks(axis) {
      const [low, high] = this.axes[axis ? "y" : "x"];
      if (this.axes.at) {
        return this.axes.at[axis].map((value) => [value, value.toLocaleString("en").replace(/,/g, "\u202f")]);
      }
      const rough = (high - low) / this.axes.ticks[axis];
      const power = 10 ** Math.floor(Math.log10(rough));
      const step = [1, 2, 5, 10].map((m) => m * power).find((each) => each >= rough);
      const found = [];
      for (let k = Math.ceil(low / step); k * step <= high; k++) {
        found.push([k * step, String(k * step).replace("-", "\u2212")]);
      }
      return found;
    }

    share(value, [low, high]) {
      const log = this.axes.logarithmic;
      const [v, l, h] = log ? [value, low, high].map(Math.log) : [value, low, high];
      return (v - l) / (h - l);
    }

    x(value) {
      return this.box.left + this.share(value, this.axes.x) * (this.box.right - this.box.left);
    }

    y(value) {
      return this.box.bottom - this.share(value, this.axes.y) * (this.box.bottom - this.box.top);
    }

    /* Draw with the pen inside the axes only. */
    inside(draw) {
      const { pen, box } = this;
      pen.save();
      pen.beginPath();
      pen.rect(box.left, box.top, box.right - box.left, box.bottom - box.top);
      pen.clip();
      draw(pen);
      pen.restore();
    }

    /* A line through points [x, y]; it ends where a point is no number. */
    curve(points, colour, { width = 1.5, dash = [], alpha = 1 } = {}) {
      this.inside((pen) => {
        pen.strokeStyle = colour;
        pen.globalAlpha = alpha;
        pen.lineWidth = width;
        pen.lineJoin = "round";
        pen.setLineDash(dash);
        pen.beginPath();
        for (const [x, y] of points) {
          if (!(Math.abs(x) + Math.abs(y) < 1e6)) break;
          pen.lineTo(this.x(x), this.y(y));
        }
        pen.stroke();
      });
    }

    dot([x, y], colour, radius = 4) {
      this.inside((pen) => {
        pen.fillStyle = colour;
        pen.beginPath();
        pen.arc(this.x(x), this.y(y), radius, 0, 2 * Math.PI);
        pen.fill();
      });
    }

    /* A word beside a point: to its right and below, or to its left and above. */
    text(words, [x, y], colour, side) {
      this.pen.fillStyle = colour;
      this.pen.textAlign = side === "right" ? "right" : "left";
      this.pen.textBaseline = side === "right" ? "bottom" : "top";
      const away = side === "right" ? -8 : 8;
      this.pen.fillText(words, this.x(x) + away, this.y(y) + away / 2);
    }
  }

  /* Call `draw` once the canvases can be seen, when their size changes, and when the reader
     turns from light to dark. Returns a function that asks for one drawing on the next frame. */
  function keepDrawn(host, draw) {
    let waiting = false;
    const ask = () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => {
        waiting = false;
        draw();
      });
    };
    new ResizeObserver(ask).observe(host);
    new MutationObserver(ask).observe(root, { attributeFilter: ["data-theme"] });
    return ask;
  }

  /* A range input with its label and, beside it, what it stands at: `show` writes that. */
  let counted = 0;
  function slider(text, attributes, onInput) {
    const id = `playground-${++counted}`;
    const input = element("input", { type: "range", id, ...attributes, input: onInput });
    const value = element("strong", { "aria-hidden": "true" });
    const show = (words) => {
      value.textContent = words;
      input.setAttribute("aria-valuetext", words);
    };
    const row = element("div", {}, element("label", { for: id }, text), " ", value, input);
    return { input, row, show };
  }

  /* Bring every playground of a kind to life; what stands in its place without us then goes. */
  function enliven(view, start) {
    for (const host of document.querySelectorAll(`.playground[data-view="${view}"]`)) {
      const data = host.querySelector("script")?.textContent;
      const stage = element("div", { class: "playground-stage" });
      host.prepend(stage);
      try {
        host.playground = start(stage, data ? JSON.parse(data) : null);
      } catch (error) {
        stage.remove(); // the figure stays
        throw error;
      }
      host.querySelector(".playground-fallback")?.remove();
    }
  }

  Object.assign(window.Playground, { Plot, element, enliven, ground, keepDrawn, neutral, slider });
})();
