/* A start on the attractor, chosen by the reader, and how forecasts from it leave the truth. The
   models are those of a run, exported by dynlib.report.playground. */
(() => {
  "use strict";
  const { Plot, element, enliven, ground, keepDrawn, leaves, map, neutral, rollout, slider } =
    window.Playground;
  const STEPS = 1800; // of a forecast: until nearly all have left
  const ORBIT = 4000; // states of the attractor that the reader can start from
  const FARTHEST = 100; // a coordinate of a start that is typed
  const [SLOWEST, FASTEST] = [0.25, 4]; // Lyapunov times a second
  const TAIL = 120; // steps that are drawn behind every head
  const DASHES = [[], [7, 3], [2, 2.5], [8, 3, 2, 3], [4, 4]]; // colour is not the only difference

  function start(stage, data) {
    const { true: truth, ...methods } = Object.fromEntries(
      Object.entries(data.models).map(([name, model]) => [
        name,
        { ...model, name, map: map(model, data) },
      ]),
    );
    const rows = Object.values(methods).map((row, i) => ({ ...row, dash: DASHES[i % 5] }));
    const [unit, limit] = [data.dt * data.exponent, data.threshold * data.spread];
    const times = (step) => (step * unit).toFixed(1);
    const orbit = [data.starts[0], ...rollout(truth.map, data.starts[0], ORBIT - 1)];
    let [from, now, next, timer, silence, touched] = [null, 0, 0, null, null, false];
    const query = new URLSearchParams(location.search);
    /* A number that the address asks for, if it is within its bounds. */
    const asked = (name, low, high) => {
      const value = query.has(name) ? Number(query.get(name) || NaN) : NaN;
      return value >= low && value <= high ? value : null;
    };
    const hidden = new Set((query.get("hide") ?? "").split(","));

    // --- the page

    const phase = new Plot("The Lorenz attractor from the side, x against z.", {
      x: [-22, 22], y: [0, 50], xtitle: "x", ytitle: "z",
    });
    const handle = element("div", { class: "playground-handle", "aria-hidden": "true" });
    const coordinates = ["x", "y", "z"].map((name) =>
      element("input", {
        ...{ type: "number", step: "any", min: -FARTHEST, max: FARTHEST, required: "" },
        ...{ "aria-label": `${name} of the start`, change: () => typed() },
      }),
    );
    const along = slider("Start along a true orbit", { min: 0, max: ORBIT - 1, step: 1 }, () =>
      setStart(orbit[along.input.valueAsNumber]),
    );
    const time = slider("Time", { min: 0, max: STEPS, step: 1 }, () => {
      stop();
      setTime(time.input.valueAsNumber);
      share();
    });
    const speed = slider(
      "Speed",
      { min: SLOWEST, max: FASTEST, step: SLOWEST, value: asked("speed", SLOWEST, FASTEST) ?? 1 },
      () => {
        pace();
        share();
      },
    );
    const pace = () => speed.show(`${speed.input.value} Lyapunov times a second`);
    pace();
    const another = element("button", { type: "button", click: () => drawLot() }, "Another start");
    const play = element("button", { type: "button", click: () => (timer ? stop() : run()) }, "Play");
    const status = element("p", { role: "status" });
    for (const [i, row] of rows.entries()) {
      row.plot = new Plot(`x of the truth and of ${row.label} against time.`, {
        x: [0, STEPS * unit], y: [-22, 22], ticks: [8, 2],
        margin: i === rows.length - 1 ? [36, 12, 4, 34] : [4, 12, 4, 34],
        xtitle: i === rows.length - 1 ? "Lyapunov times" : "",
      });
      row.shown = element("input", {
        type: "checkbox",
        change: () => {
          redraw();
          share();
        },
      });
      row.shown.checked = !hidden.has(row.name);
      row.swatch = element("canvas", { class: "playground-swatch", "aria-hidden": "true" });
      row.left = element("span", { class: "playground-left" });
    }
    stage.append(
      element("div", { class: "playground-top" },
        element("div", { class: "playground-picture" }, phase.canvas, handle),
        element("div", { class: "playground-controls" },
          element("fieldset", {}, element("legend", {}, "Start"),
            element("div", { class: "playground-numbers" },
              ...coordinates.map((input, i) => element("label", {}, "xyz"[i], input))),
            along.row, another),
          element("fieldset", {}, element("legend", {}, "Forecast"), time.row, speed.row, play))),
      element("div", { class: "playground-strips" },
        ...rows.map((row) =>
          element("div", { class: "playground-strip" },
            element("label", {}, row.shown, row.swatch, row.label), row.left, row.plot.canvas))),
      status,
    ); // prettier-ignore

    // --- what the reader does

    /* A start, to the digits that are shown, and every forecast from it, at the time zero. */
    function setStart(state, at = 0) {
      stop();
      from = state.map((value) => Math.round(value * 1000) / 1000);
      coordinates.forEach((input, i) => (input.value = from[i]));
      along.input.setAttribute("aria-valuetext", from.join(", "));
      truth.path = rollout(truth.map, from, STEPS);
      for (const row of rows) {
        row.path = rollout(row.map, from, STEPS);
        row.leaves = leaves(row.path, truth.path, limit);
        row.left.textContent =
          row.leaves <= STEPS ? `leaves after ${times(row.leaves)}` : "stays to the end";
      }
      setTime(at);
      announce();
    }

    function setTime(step) {
      now = step;
      time.input.value = step;
      time.show(`${times(step)} Lyapunov times`);
      redraw();
    }

    function typed() {
      const wrong = coordinates.find((input) => !input.checkValidity());
      if (!wrong) return setStart(coordinates.map((input) => input.valueAsNumber));
      clearTimeout(silence);
      status.textContent = `A start needs three numbers from \u2212${FARTHEST} to ${FARTHEST}.`;
    }

    /* The next of the starts that the run itself was scored on. */
    function drawLot() {
      next = (next + 1) % data.starts.length;
      setStart(data.starts[next]);
    }

    /* The state of the orbit that is drawn nearest to a place on the canvas. */
    function nearest(event) {
      const frame = phase.canvas.getBoundingClientRect();
      const [px, py] = [event.clientX - frame.left, event.clientY - frame.top];
      const away = ([x, , z]) => Math.hypot(phase.x(x) - px, phase.y(z) - py);
      let best = 0;
      orbit.forEach((state, i) => away(state) < away(orbit[best]) && (best = i));
      along.input.value = best;
      setStart(orbit[best]);
    }
    phase.canvas.addEventListener("click", nearest);
    handle.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      handle.setPointerCapture(event.pointerId);
    });
    let [moved, pending] = [null, false];
    handle.addEventListener("pointermove", (event) => {
      if (!handle.hasPointerCapture(event.pointerId)) return;
      moved = event;
      if (pending) return;
      pending = true;
      requestAnimationFrame(() => {
        pending = false;
        nearest(moved);
      });
    });

    function run() {
      play.textContent = "Pause";
      if (now >= STEPS) setTime(0);
      let [before, due] = [null, now];
      const step = (clock) => {
        const passed = before === null ? 0 : (clock - before) / 1000;
        before = clock;
        due += (passed * speed.input.valueAsNumber) / unit;
        setTime(Math.min(STEPS, Math.round(due)));
        timer = now < STEPS ? requestAnimationFrame(step) : stop();
      };
      timer = requestAnimationFrame(step);
    }

    function stop() {
      if (timer) cancelAnimationFrame(timer);
      if (timer) share();
      play.textContent = "Play";
      return (timer = null);
    }

    /* In the address, so that a moment can be shared. */
    function share() {
      const [x, y, z] = from;
      const gone = rows.filter(({ shown }) => !shown.checked).map(({ name }) => name);
      const state = new URLSearchParams({ x, y, z, time: now, speed: speed.input.value });
      if (gone.length) state.set("hide", gone.join(","));
      history.replaceState(null, "", `${location.pathname}?${state}${location.hash}`);
    }

    /* In words, after a moment without change, so that a drag is not read out on its way. */
    function announce() {
      clearTimeout(silence);
      silence = setTimeout(() => {
        const order = [...rows].sort((a, b) => a.leaves - b.leaves);
        const when = ({ leaves: left }) =>
          left <= STEPS ? `after ${times(left)}` : `not within ${times(STEPS)}`;
        const said = order.map((row) => `${row.label}, ${when(row)}`).join("; ");
        status.textContent =
          `From (${from.join(", ")}) they leave the truth in this order, in Lyapunov times: ${said}.`
            .replace(/(?<!\w)-(?=\d)/g, "\u2212"); // of numbers, not of names
        if (touched) share();
        touched = true;
      }, 300);
    }

    // --- what the reader sees

    function draw() {
      const [side, ink] = [ground(), neutral.ink[ground()]];
      const flat = (states) => states.map(([x, , z]) => [x, z]);
      const behind = (path) => flat([from, ...path].slice(Math.max(0, now - TAIL), now + 1));
      phase.clear();
      phase.curve(flat(orbit), neutral.muted[side], { width: 0.6, alpha: 0.35 });
      const heads = [
        ...rows.filter(({ shown }) => shown.checked),
        { path: truth.path, colour: truth.colour, dash: [], width: 2.5 },
      ];
      for (const { path, colour, dash, width = 2 } of heads) {
        const tail = behind(path);
        phase.curve(tail, colour[side], { width, dash });
        phase.dot(tail[tail.length - 1], colour[side], 5);
      }
      handle.style.left = `${phase.x(from[0])}px`;
      handle.style.top = `${phase.y(from[2])}px`;
      const series = (path) => [from, ...path].map(([x], k) => [k * unit, x]);
      const true_x = series(truth.path);
      for (const { plot, path, colour, dash, leaves: left, swatch } of rows) {
        plot.clear();
        plot.curve(true_x, ink, { width: 1.6 });
        const x = series(path);
        plot.curve(x, colour[side], { width: 1.6 });
        if (left <= STEPS) plot.dot(x[left], colour[side], 5);
        plot.curve([[now * unit, -22], [now * unit, 22]], neutral.muted[side], { dash: [3, 3] });
        paint(swatch, colour[side], dash);
      }
    }

    /* A short piece of a method's line, beside its name. */
    function paint(swatch, colour, dash) {
      const dense = window.devicePixelRatio || 1;
      [swatch.width, swatch.height] = [28 * dense, 8 * dense];
      const pen = swatch.getContext("2d");
      pen.scale(dense, dense);
      pen.strokeStyle = colour;
      pen.lineWidth = 3;
      pen.setLineDash(dash);
      pen.beginPath();
      pen.moveTo(0, 4);
      pen.lineTo(28, 4);
      pen.stroke();
    }

    const redraw = keepDrawn(stage, draw);
    const shared = ["x", "y", "z"].map((name) => asked(name, -FARTHEST, FARTHEST));
    const at = Math.round(asked("time", 0, STEPS) ?? 0);
    setStart(shared.includes(null) ? data.starts[0] : shared, at);
    return { data, setStart, truth, rows };
  }

  enliven("forecasts", start);
})();
