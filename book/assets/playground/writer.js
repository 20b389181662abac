/* GPT-2 writes in the page: the trained model of a run beside the true system and beside counting.
   The models are scripts that are loaded when the reader asks for them, so that a page on a disk
   works as one on a server does. */
(() => {
  "use strict";
  const P = window.Playground;
  const { Plot, classical, element, ground, keepDrawn, neutral, rungeKutta, slider } = P;
  const { GPT, Counts, drawn, heated, softmax } = P;
  const [PROMPT, TEXT, LONGEST, MOST, SAID] = [100, 60000, 8, 2000, 48];
  const TRANSIENT = 300;
  const NAMES = { true: "truth", gpt: "GPT-2", count: "counting" };
  const COLOURS = { true: neutral.ink, gpt: ["#0969da", "#58a6ff"], count: ["#bc4c00", "#f0883e"] };

  /* The systems, as in dynlib.dynamics.systems: a step, a start, the axes to draw, a speed. */
  const SYSTEMS = {
    henon: {
      ...{ step: ([x, y]) => [1 - 1.4 * x * x + y, 0.3 * x], start: [-0.95, 0.35], flow: false },
      ...{ axes: [0, 1], titles: ["x", "y"], speed: 8, size: "The Hénon map" },
    },
    lorenz: {
      step: rungeKutta(
        ([x, y, z], out) => {
          out[0] = 10 * (y - x);
          out[1] = x * (28 - z) - y;
          out[2] = x * y - 2.67 * z;
        },
        ...[0.03, 5, classical],
      ),
      ...{ start: [0.05, -0.02, 0.08], flow: true, axes: [0, 2], titles: ["x", "z"], speed: 25 },
    },
  };

  /* Random numbers on [0, 1) from a seed (mulberry32), so that a link shows the same text. */
  function random(seed) {
    let state = seed >>> 0;
    return () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let t = Math.imul(state ^ (state >>> 15), state | 1);
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
      return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
    };
  }

  /* States to tokens: the cell of a state, or the nearest cell that has a token. */
  function encoder({ low, high, n_cells: n, cells }) {
    const flat = (cell) => cell.reduce((number, i) => number * n + i, 0);
    const rank = new Map(cells.map((cell, token) => [flat(cell), token]));
    return (state) => {
      const place = state.map((v, i) => ((v - low[i]) / (high[i] - low[i])) * n);
      const cell = place.map((v) => Math.max(0, Math.min(n - 1, Math.floor(v))));
      const token = rank.get(flat(cell));
      if (token !== undefined) return token;
      let [best, least] = [0, Infinity];
      cells.forEach((each, t) => {
        const away = each.reduce((sum, i, axis) => sum + (i + 0.5 - place[axis]) ** 2, 0);
        if (away < least) [best, least] = [t, away];
      });
      return best;
    };
  }

  const load = (host) =>
    new Promise((resolve, reject) => {
      const script = element("script", { src: host.dataset.source });
      script.onload = () => resolve(P.written[host.dataset.run]);
      script.onerror = () => reject(new Error("the model could not be loaded"));
      document.head.append(script);
    });

  function start(host, stage, data) {
    const system = SYSTEMS[data.system];
    const encode = encoder(data);
    const width = data.low.map((v, i) => (data.high[i] - v) / data.n_cells);
    const centre = (token) => data.cells[token].map((i, axis) => data.low[axis] + (i + 0.5) * width[axis]);
    const flat = (state) => system.axes.map((axis) => state[axis]);

    // A true text to count in, and to take starts from.
    let state = system.start;
    for (let k = 0; k < TRANSIENT; k++) state = system.step(state);
    const states = [];
    for (let k = 0; k < TEXT; k++) states.push((state = system.step(state)));
    const tokens = states.map(encode);
    const steps = new Set(tokens.slice(1).map((token, k) => tokens[k] * data.vocabulary + token));
    const model = new GPT(data);
    const counts = new Counts(tokens, data.vocabulary);
    const cloud = states.slice(0, system.flow ? 1500 : 4000).map(flat);

    let asked = new URLSearchParams(location.search);
    if (asked.get("on") !== host.dataset.run) asked = new URLSearchParams(); // of another writer
    const number = (name, low, high, usual) => {
      const value = Number(asked.get(name) ?? NaN);
      return value >= low && value <= high ? value : usual;
    };
    const now = {
      ...{ at: Math.round(number("start", 0, TEXT - 1 - PROMPT, 0)), seed: number("seed", 0, 1e9, 1) },
      ...{ blind: asked.get("blind") === "1", order: ["true", "gpt", "count"], score: [0, 0] },
    };
    let [texts, next, dice, timer, marked, path] = [{}, null, null, null, null, null];

    // --- what stands on the page

    const span = (i) => {
      const axis = system.axes[i];
      const pad = 0.04 * (data.high[axis] - data.low[axis]);
      return [data.low[axis] - pad, data.high[axis] + pad];
    };
    const axes = { x: span(0), y: span(1), ticks: [4, 5], margin: [22, 6, 6, 30] };
    const pictures = now.order.map((name) => {
      const plot = new Plot(`Cells that are visited: ${NAMES[name]}`, axes);
      const [title, guess] = [element("strong"), element("button", { type: "button", click: () => answer(name) }, "This is GPT-2")];
      return { plot, title, guess, box: element("div", { class: "playground-writer" }, title, plot.canvas, guess) };
    });
    const visits = new Plot("How often each column of cells is visited, by truth, GPT-2 and counting.", {
      ...{ x: span(0), y: [0, 1], ticks: [6, 3], margin: [22, 6, 6, 30] },
    });
    const place = slider("Start at state", { min: 0, max: TEXT - 1 - PROMPT, step: 1, value: now.at }, () =>
      begin({ at: place.input.valueAsNumber }));
    const typed = element("input", {
      ...{ type: "number", min: 0, max: TEXT - 1 - PROMPT, step: 1, "aria-label": "Number of the start" },
      change: () => typed.checkValidity() && typed.value !== "" ? begin({ at: typed.valueAsNumber }) : refuse(),
    });
    const heat = slider("Temperature", { min: 0, max: 2, step: 0.05, value: number("t", 0, 2, 1) }, () => begin({}));
    const memory = slider("Memory, tokens", {
      ...{ min: 1, max: data.context, step: 1, value: number("memory", 1, data.context, data.context) },
    }, () => begin({}));
    const speed = slider("Speed, tokens a second", { min: 1, max: 60, step: 1, value: system.speed }, () => show());
    const play = element("button", { type: "button", click: () => (timer ? stop() : run()) }, "Write");
    const another = element("button", { type: "button", click: () => begin({ at: Math.floor(Math.random() * (TEXT - PROMPT)), seed: Math.floor(Math.random() * 1e9) }) }, "Random start");
    const blind = element("input", { type: "checkbox", change: () => shuffle(blind.checked) });
    blind.checked = now.blind;
    const sentence = element("p", { class: "playground-sentence" });
    const status = element("p", { role: "status" });
    stage.replaceChildren(
      element("div", { class: "playground-writers" }, ...pictures.map(({ box }) => box)),
      element("div", { class: "playground-top" },
        element("div", { class: "playground-growth" }, visits.canvas),
        element("div", { class: "playground-controls" },
          element("div", {}, play, " ", another, " ", element("label", {}, blind, " blind: which one is GPT-2?")),
          element("div", {}, place.row, typed), heat.row, memory.row, speed.row)),
      ...[status, sentence],
    ); // prettier-ignore

    // --- writing

    /* Begin again, with what changes of the start and the seed. */
    function begin(changes) {
      stop();
      Object.assign(now, changes);
      const prompt = tokens.slice(now.at, now.at + PROMPT);
      texts = { true: [...prompt], gpt: [...prompt], count: [...prompt] };
      path = states[now.at + PROMPT - 1];
      dice = { gpt: random(now.seed), count: random(now.seed + 1) };
      model.restart();
      next = null;
      const first = Math.round(number("n", 0, MOST, system.flow ? 60 : 40));
      for (let k = 0; k < first; k++) write();
      asked.delete("n"); // only the first time
      ready();
      say();
    }

    /* What GPT-2 takes for the next token, at the temperature. */
    function ready() {
      const warmth = heat.input.valueAsNumber;
      const logits = model.after(texts.gpt, memory.input.valueAsNumber);
      next = warmth ? softmax(logits, warmth) : heated(softmax(logits, 1), 0);
    }

    /* A token more, by all three. */
    function write() {
      const warmth = heat.input.valueAsNumber;
      if (!next) ready();
      texts.gpt.push(drawn(next, dice.gpt()));
      next = null;
      const known = counts.after(texts.count, Math.min(LONGEST, memory.input.valueAsNumber));
      texts.count.push(drawn(heated(known, warmth), dice.count()));
      path = system.step(path);
      texts.true.push(encode(path));
    }

    const written = (name) => texts[name].slice(PROMPT);

    function run() {
      play.textContent = "Pause";
      let [before, due] = [performance.now(), 0];
      const tick = (clock) => {
        due += ((clock - before) / 1000) * speed.input.valueAsNumber;
        before = clock;
        const until = clock + 12; // milliseconds of writing a frame
        for (; due >= 1 && performance.now() < until && texts.gpt.length < PROMPT + MOST; due--) write();
        due = Math.min(due, 2);
        if (!next) ready();
        show();
        timer = texts.gpt.length < PROMPT + MOST ? requestAnimationFrame(tick) : stop();
      };
      timer = requestAnimationFrame(tick);
    }

    function stop() {
      if (timer) cancelAnimationFrame(timer);
      play.textContent = "Write";
      if (timer) say();
      return (timer = null);
    }

    // --- the blind mode

    function shuffle(on) {
      now.blind = on;
      now.order = ["true", "gpt", "count"];
      if (on) now.order.sort(() => Math.random() - 0.5);
      now.told = false;
      begin(on ? { at: Math.floor(Math.random() * (TEXT - PROMPT)), seed: Math.floor(Math.random() * 1e9) } : {});
    }

    /* The reader points at a picture, whose place is that of `box` in the page. */
    function answer(box) {
      const chosen = now.order[["true", "gpt", "count"].indexOf(box)];
      if (!now.told) now.score = [now.score[0] + (chosen === "gpt"), now.score[1] + 1];
      now.told = true;
      stop();
      show();
      status.textContent = `${chosen === "gpt" ? "Right" : `No, that was ${NAMES[chosen]}`}. ` +
        `${now.score[0]} of ${now.score[1]} right; one of three would be by chance. ` +
        "Tick the box again for another round.";
      blind.checked = false;
    }

    // --- in words, in the address, and in the picture

    function refuse() {
      status.textContent = `A start is a whole number from 0 to ${TEXT - 1 - PROMPT}.`;
    }

    function say() {
      show();
      if (now.blind && !now.told) {
        status.textContent = "One of the three is GPT-2, one counts, one is true. Which one is GPT-2?";
        return;
      }
      const cells = (name) => new Set(written(name)).size;
      const strange = (name) => {
        const text = texts[name].slice(PROMPT - 1);
        return text.slice(1).filter((token, k) => !steps.has(text[k] * data.vocabulary + token)).length;
      };
      status.textContent =
        `After ${written("gpt").length} tokens: cells visited by the truth ${cells("true")}, by GPT-2 ` +
        `${cells("gpt")}, by counting ${cells("count")}. Steps that the simulated text never took: ` +
        `truth ${strange("true")}, GPT-2 ${strange("gpt")}, counting ${strange("count")}.`;
      const query = new URLSearchParams({
        ...{ on: host.dataset.run, start: now.at, seed: now.seed, t: heat.input.value, memory: memory.input.value },
        ...{ n: written("gpt").length },
      });
      history.replaceState(null, "", `${location.pathname}?${query}${location.hash}`);
    }

    function show() {
      place.input.value = typed.value = now.at;
      place.show(String(now.at));
      heat.show(heat.input.valueAsNumber.toFixed(2));
      const all = memory.input.valueAsNumber === data.context;
      memory.show(all ? `all (${data.context})` : memory.input.value);
      speed.show(speed.input.value);
      const hidden = now.blind && !now.told;
      sentence.hidden = hidden;
      const said = texts.gpt.slice(-SAID);
      sentence.replaceChildren(
        ...said.flatMap((token, k) => {
          const still = k > 0 && token === said[k - 1] ? "still" : "";
          const word = element("span", { class: still, tabindex: 0 }, String(token));
          for (const event of ["mouseenter", "focus"]) word.addEventListener(event, () => mark(token));
          for (const event of ["mouseleave", "blur"]) word.addEventListener(event, () => mark(null));
          return [word, " "];
        }),
      );
      redraw();
    }

    /* Light up a cell in the pictures, and its words in the sentence. */
    function mark(token) {
      marked = token;
      for (const word of sentence.children) word.classList.toggle("marked", Number(word.textContent) === token);
      redraw();
    }
    pictures.forEach(({ plot }) => {
      plot.canvas.addEventListener("mousemove", (event) => mark(under(plot, event)));
      plot.canvas.addEventListener("mouseleave", () => mark(null));
      plot.canvas.addEventListener("click", (event) => now.blind || begin({ at: nearest(plot, event) }));
    });

    /* The token of GPT-2's sentence whose cell is under the pointer, if there is one. */
    function under(plot, event) {
      const [px, py] = [event.offsetX, event.offsetY];
      const within = (token) => {
        const [x, y] = flat(centre(token));
        const [w, h] = flat(width);
        return Math.abs(plot.x(x) - px) <= Math.abs(plot.x(w) - plot.x(0)) / 2 + 1 &&
          Math.abs(plot.y(y) - py) <= Math.abs(plot.y(h) - plot.y(0)) / 2 + 1;
      };
      return texts.gpt.slice(-SAID).find(within) ?? null;
    }

    /* The start whose prompt ends nearest to a place in a picture. */
    function nearest(plot, event) {
      let [best, least] = [0, Infinity];
      for (let k = PROMPT - 1; k < Math.min(TEXT, 8000); k++) {
        const [x, y] = flat(states[k]);
        const away = Math.hypot(plot.x(x) - event.offsetX, plot.y(y) - event.offsetY);
        if (away < least) [best, least] = [k - PROMPT + 1, away];
      }
      return best;
    }

    function draw() {
      const side = ground();
      const hidden = now.blind && !now.told;
      now.order.forEach((name, k) => {
        const { plot, title, guess } = pictures[k];
        const colour = hidden ? COLOURS.gpt[side] : COLOURS[name][side];
        title.textContent = hidden ? "ABC"[k] : NAMES[name];
        guess.hidden = !hidden;
        plot.clear();
        const text = written(name);
        const often = new Map();
        for (const token of text) often.set(token, (often.get(token) ?? 0) + 1);
        const cell = (pen, token) => {
          const [x, y] = flat(centre(token));
          const [w, h] = flat(width).map((v) => v / 2);
          pen.fillRect(plot.x(x - w), plot.y(y + h), plot.x(x + w) - plot.x(x - w), plot.y(y - h) - plot.y(y + h));
        };
        plot.inside((pen) => {
          pen.fillStyle = neutral.muted[side];
          pen.globalAlpha = 0.25;
          for (const [x, y] of cloud) pen.fillRect(plot.x(x), plot.y(y), 1, 1);
          pen.fillStyle = colour;
          for (const [token, count] of often) {
            pen.globalAlpha = Math.min(1, 0.5 + 0.15 * Math.log2(count));
            cell(pen, token);
          }
          if (name === "gpt" && !hidden && next) {
            pen.fillStyle = "#bf3989";
            next.forEach((share, token) => {
              if (share < 0.005) return;
              pen.globalAlpha = 0.2 + 0.8 * share;
              cell(pen, token);
            });
          }
          if (marked !== null && !hidden) {
            pen.globalAlpha = 1;
            pen.fillStyle = neutral.ink[side];
            cell(pen, marked);
          }
        });
        const line = texts[name].slice(system.flow ? -25 : -1).map((token) => flat(centre(token)));
        if (system.flow) plot.curve(line, neutral.ink[side], { width: 1.5 });
        plot.dot(line[line.length - 1], neutral.ink[side], 4);
      });
      const bars = Object.fromEntries(now.order.map((name) => {
        const bar = new Array(data.n_cells).fill(0);
        for (const token of written(name)) bar[data.cells[token][system.axes[0]]]++;
        return [name, bar];
      }));
      visits.axes.y = [0, Math.max(4, ...Object.values(bars).flat())];
      visits.clear();
      if (hidden) return;
      for (const name of now.order) {
        const edges = bars[name].flatMap((v, i) => {
          const left = data.low[system.axes[0]] + i * width[system.axes[0]];
          return [[left, v], [left + width[system.axes[0]], v]];
        });
        visits.curve(edges, COLOURS[name][side], { width: name === "true" ? 1.5 : 2 });
      }
    }

    const redraw = keepDrawn(stage, draw);
    if (now.blind) shuffle(true);
    else begin({});
    return {
      ...{ data, model, counts, tokens, states },
      get texts() {
        return texts;
      },
      get order() {
        return now.order;
      },
    };
  }

  for (const host of document.querySelectorAll('.playground[data-view="writer"]')) {
    const stage = element("div", { class: "playground-stage" });
    const status = element("p", { role: "status" });
    const words = `Load GPT-2 (${host.dataset.size} kB)`;
    const ask = element("button", { type: "button" }, words);
    ask.addEventListener("click", async () => {
      ask.disabled = true;
      status.textContent = "The model is loaded, and a true text is simulated to count in.";
      try {
        const data = await load(host);
        await new Promise((resolve) => setTimeout(resolve, 20)); // the words are seen first
        host.querySelector(".playground-fallback")?.remove();
        host.playground = start(host, stage, data);
        stage.querySelector("button").focus();
      } catch (error) {
        ask.disabled = false;
        status.textContent = `It did not work: ${error.message}.`;
        throw error;
      }
    });
    stage.append(ask, status);
    host.prepend(stage);
    const shared = new URLSearchParams(location.search).get("on");
    if (shared === host.dataset.run) ask.click(); // a shared moment
  }
})();
