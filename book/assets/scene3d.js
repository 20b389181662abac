/* Scenes of dynlib/report/scene.py, drawn on a canvas. Drag to turn, or use the arrow keys; zoom by
   the buttons, by + and -, or by the wheel with Ctrl: the wheel alone scrolls the page. */
(() => {
  "use strict";
  const root = document.documentElement;
  const START = { across: -Math.PI / 3, up: 0.3, zoom: 1 };
  const BOX = [1.35, 1.35, 1]; // half of its edges: wider than high, as the stage is
  const [MARGIN, LEVELS] = [30, 6]; // pixels for the names of axes; steps of depth
  const bounded = (value, low, high) => Math.max(low, Math.min(high, value));
  const asks = []; // what redraws each scene

  function element(name, attributes, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  /* Two or more round values within an extent. */
  function ticks([low, high]) {
    const power = 10 ** Math.floor(Math.log10((high - low) / 2));
    const step = [5, 2, 1].map((m) => m * power).find((each) => each <= (high - low) / 2);
    const found = [];
    for (let k = Math.ceil(low / step); k * step <= high; k++) {
      found.push(Number((k * step).toPrecision(6)));
    }
    return found;
  }

  function enliven(scene) {
    const data = JSON.parse(scene.querySelector("script").textContent);
    const extents = ["x", "y", "z"].map((axis) => {
      const values = data.curves.flatMap((curve) => curve[axis]);
      const [low, high] = [Math.min, Math.max].map((f) => values.reduce((a, b) => f(a, b)));
      return high > low ? [low, high] : [low - 1, high + 1];
    });
    const placed = (value, i) => {
      const [low, high] = extents[i];
      return BOX[i] * ((2 * (value - low)) / (high - low) - 1);
    };
    const curves = data.curves.map(({ label, colour, x, y, z }) => ({
      ...{ label, colour, shown: true },
      points: x.map((_, k) => [x, y, z].map((axis, i) => placed(axis[k], i))),
    }));
    const all = curves.flatMap(({ points }) => points);
    const radius = all.reduce((most, [x, y]) => Math.max(most, Math.hypot(x, y)), 0);
    const view = { ...START };

    // --- the page

    const name = scene.getAttribute("aria-label");
    const canvas = element("canvas", { role: "img", "aria-label": name, tabindex: 0 });
    const button = (words, label, act) => {
      const made = element("button", { type: "button", "aria-label": label }, words);
      made.addEventListener("click", act);
      return made;
    };
    const legend = curves.map((curve) => {
      const box = element("input", { type: "checkbox" });
      box.checked = true;
      box.addEventListener("change", () => {
        curve.shown = box.checked;
        ask();
      });
      curve.swatch = element("span", { class: "scene3d-swatch" });
      return element("label", {}, box, curve.swatch, curve.label);
    });
    const bar = element(
      "div",
      { class: "scene3d-bar" },
      ...legend,
      button("+", "Zoom in", () => turn(0, 0, 1.25)),
      button("\u2212", "Zoom out", () => turn(0, 0, 0.8)),
      button("Reset", "Reset the view", () => {
        Object.assign(view, START);
        ask();
      }),
    );
    const help = "Drag to turn, or use the arrow keys. The wheel zooms with Ctrl.";
    scene.querySelectorAll("p, button").forEach((each) => each.remove());
    scene.append(canvas, bar, element("p", {}, help));
    scene.view = view;

    // --- what the reader does

    function turn(across, up, zoom = 1) {
      view.across += across;
      view.up = bounded(view.up + up, -1.5, 1.5); // short of the poles
      view.zoom = bounded(view.zoom * zoom, 0.5, 8);
      ask();
    }
    let held = null;
    canvas.addEventListener("pointerdown", (event) => {
      held = [event.clientX, event.clientY];
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!canvas.hasPointerCapture(event.pointerId)) return;
      const [x, y] = [event.clientX, event.clientY];
      turn((held[0] - x) / 150, (y - held[1]) / 150);
      held = [x, y];
    });
    const wheel = (event) => {
      if (!event.ctrlKey) return; // the page scrolls
      event.preventDefault();
      turn(0, 0, Math.exp(-bounded(event.deltaY, -100, 100) / 300));
    };
    canvas.addEventListener("wheel", wheel, { passive: false });
    const step = Math.PI / 24;
    const keys = {
      ...{ ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] },
      ...{ "+": [0, 0, 1.25], "=": [0, 0, 1.25], "-": [0, 0, 0.8] },
    };
    canvas.addEventListener("keydown", (event) => {
      if (!(event.key in keys) || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      turn(...keys[event.key]);
    });

    // --- what the reader sees

    function draw() {
      const [wide, high] = [canvas.clientWidth, canvas.clientHeight];
      const dense = window.devicePixelRatio || 1;
      [canvas.width, canvas.height] = [Math.round(wide * dense), Math.round(high * dense)];
      if (!wide) return;
      const ground = root.dataset.theme === "dark" ? 1 : 0;
      const pen = canvas.getContext("2d");
      pen.setTransform(dense, 0, 0, dense, 0, 0);
      pen.font = `13px ${getComputedStyle(document.body).fontFamily}`;

      // As large as fits at this height of the eye, from whatever side.
      const [ca, sa] = [Math.cos(view.across), Math.sin(view.across)];
      const [cu, su] = [Math.cos(view.up), Math.sin(view.up)];
      const tall = BOX[2] * cu + radius * Math.abs(su);
      const scale = view.zoom * Math.min((wide / 2 - MARGIN) / radius, (high / 2 - MARGIN) / tall);
      /* Pixels from the left and from the top, and how near the eye. */
      const seen = ([x, y, z]) => {
        const [right, ahead] = [y * ca - x * sa, x * ca + y * sa];
        return [wide / 2 + scale * right, high / 2 - scale * (z * cu - ahead * su), ahead * cu + z * su];
      };
      const line = (colour, ...points) => {
        pen.strokeStyle = colour;
        pen.beginPath();
        for (const point of points) pen.lineTo(...seen(point).slice(0, 2));
        pen.stroke();
      };

      // The floor and two walls, ticks and names on the edges in front and to the left.
      const [bx, by, bz] = BOX;
      const [nx, ny] = [ca > 0 ? bx : -bx, sa > 0 ? by : -by]; // the corner next to the eye
      pen.lineWidth = 1;
      const grid = data.grid[ground];
      line(grid, [nx, ny, -bz], [nx, -ny, -bz], [-nx, -ny, -bz], [-nx, ny, -bz], [nx, ny, -bz]);
      const sides = [[nx, -ny], [-nx, ny]];
      const leftmost = sides.reduce((a, b) => (seen([...a, 0])[0] < seen([...b, 0])[0] ? a : b));
      for (const side of [...sides, [-nx, -ny]]) line(grid, [...side, -bz], [...side, bz]);
      line(grid, [nx, -ny, bz], [-nx, -ny, bz], [-nx, ny, bz]);
      const at = [
        (value) => [placed(value, 0), ny, -bz],
        (value) => [nx, placed(value, 1), -bz],
        (value) => [...leftmost, placed(value, 2)],
      ];
      const [ox, oy] = seen([0, 0, -bz]);
      pen.textBaseline = "middle";
      extents.forEach((extent, i) => {
        const [mx, my] = seen(at[i]((extent[0] + extent[1]) / 2));
        const away = i < 2 ? [mx - ox, my - oy] : [-1, 0];
        const length = Math.hypot(...away) || 1;
        const [ux, uy] = away.map((part) => part / length);
        pen.textAlign = i === 2 ? "right" : "center";
        const write = (words, [x, y], far) => pen.fillText(words, x + far * ux, y + far * uy);
        pen.fillStyle = data.ink[ground];
        const middle = ticks(extent);
        for (const value of middle) write(String(value).replace("-", "\u2212"), seen(at[i](value)), i < 2 ? 13 : 6);
        const [low, top] = middle.slice(-2).map((value) => seen(at[i](value)));
        pen.font = `italic ${pen.font}`;
        write(data.axes[i], [(low[0] + top[0]) / 2, (low[1] + top[1]) / 2], i < 2 ? 15 : 8);
        pen.font = pen.font.replace("italic ", "");
      });

      // The curves, far parts first and fainter.
      pen.lineWidth = 1.6;
      pen.lineJoin = "round";
      const reach = Math.hypot(radius, bz);
      const strokes = Array.from({ length: LEVELS }, () => []);
      for (const { points, colour, shown, swatch } of curves) {
        swatch.style.background = colour[ground];
        if (!shown) continue;
        const paths = strokes.map((level) => {
          const path = new Path2D();
          level.push([path, colour[ground]]);
          return path;
        });
        let [x, y, near] = seen(points[0]);
        for (const point of points) {
          const [x2, y2, near2] = seen(point);
          const share = (near + near2) / reach / 4 + 0.5;
          const path = paths[bounded(Math.floor(share * LEVELS), 0, LEVELS - 1)];
          path.moveTo(x, y);
          path.lineTo(x2, y2);
          [x, y, near] = [x2, y2, near2];
        }
      }
      strokes.forEach((level, k) => {
        pen.globalAlpha = 0.4 + (0.6 * k) / (LEVELS - 1);
        for (const [path, colour] of level) {
          pen.strokeStyle = colour;
          pen.stroke(path);
        }
      });
    }

    let waiting = false;
    function ask() {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => {
        waiting = false;
        draw();
      });
    }
    new ResizeObserver(ask).observe(canvas);
    asks.push(ask);
  }

  document.querySelectorAll(".scene3d").forEach(enliven);
  new MutationObserver(() => asks.forEach((ask) => ask())).observe(root, {
    attributeFilter: ["data-theme"],
  });
})();
