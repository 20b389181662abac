/* One trajectory of the Lorenz system as cells, as a sentence, and as a vocabulary, on a grid of
   as many cells per axis as the reader likes. */
(() => {
  "use strict";
  const { Plot, classical, element, enliven, grid, ground, keepDrawn, neutral, rollout, rungeKutta, slider } =
    window.Playground;
  const [SIGMA, RHO, BETA] = [10, 28, 2.67]; // as in the chapter's runs
  const [TAU, SUBSTEPS] = [0.03, 5];
  const [TRANSIENT, STATES, LENGTH] = [300, 3000, 40]; // LENGTH: of the sentence
  const [LEAST, MOST] = [2, 60]; // cells per axis

  function velocity([x, y, z], out) {
    out[0] = SIGMA * (y - x);
    out[1] = x * (RHO - z) - y;
    out[2] = x * y - BETA * z;
  }

  const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)}\u202f%`;
  const whole = (number) => number.toLocaleString("en").replace(/,/g, "\u202f");

  /* Of the second half of a text: the share of words, and of steps from word to word, that the
     first half does not hold. */
  function unseen(tokens) {
    const half = Math.floor(tokens.length / 2);
    const steps = tokens.slice(1).map((token, i) => `${tokens[i]} ${token}`);
    const share = (list) => {
      const known = new Set(list.slice(0, half));
      const rest = list.slice(half);
      return rest.filter((each) => !known.has(each)).length / rest.length;
    };
    return { words: share(tokens), steps: share(steps) };
  }

  function start(stage) {
    const step = rungeKutta(velocity, TAU, SUBSTEPS, classical);
    const [first] = rollout(step, [0.05, -0.02, 0.08], TRANSIENT).slice(-1);
    const states = [first, ...rollout(step, first, STATES - 1)];
    const sizes = [];
    for (let n = LEAST; n <= MOST; n++) sizes.push([n, grid(states, n).cells.length]);
    let now = null;

    const picture = new Plot("The cells that the trajectory visits, from the side: x against z.", {
      ...{ x: [-20, 20], y: [0, 50], xtitle: "x", ytitle: "z" },
    });
    const growth = new Plot("Cells in all and cells visited, against the number of cells per axis.", {
      ...{ x: [LEAST, MOST], y: [1, MOST ** 3], xtitle: "N", logarithmic: true },
      ...{ at: [[2, 5, 10, 20, 50], [1, 100, 10000]], margin: [34, 12, 8, 54] },
    });
    const size = slider("Cells per axis, N", { min: LEAST, max: MOST, step: 1, value: 20 }, update);
    const place = slider(
      "The sentence begins at state",
      { min: 0, max: STATES - LENGTH, step: 10, value: 0 },
      update,
    );
    const sentence = element("p", { class: "playground-sentence" });
    const facts = element("ul");
    const status = element("p", { role: "status" });
    stage.append(
      element(
        "div",
        { class: "playground-top" },
        element("div", { class: "playground-picture" }, picture.canvas),
        element(
          "div",
          { class: "playground-controls" },
          ...[size.row, place.row],
          element("div", { class: "playground-growth" }, growth.canvas),
        ),
      ),
      ...[status, sentence, facts],
    );

    let silence = null;
    function update() {
      const [n, from] = [size.input.valueAsNumber, place.input.valueAsNumber];
      now = { n, from, ...grid(states, n) };
      const { tokens, cells } = now;
      size.show(String(n));
      place.show(whole(from));
      const said = tokens.slice(from, from + LENGTH);
      sentence.replaceChildren(
        ...said.flatMap((token, i) => {
          const still = i > 0 && token === said[i - 1];
          return [element("span", still ? { class: "still" } : {}, String(token)), " "];
        }),
      );
      const stays = tokens.filter((token, i) => i > 0 && token === tokens[i - 1]).length;
      const fresh = unseen(tokens);
      const once = new Map();
      for (const token of tokens) once.set(token, (once.get(token) ?? 0) + 1);
      const rare = [...once.values()].filter((count) => count === 1).length;
      const lines = [
        `${percent(stays / (STATES - 1))} of all steps stay in their cell (grey in the sentence).`,
        `${percent(rare / cells.length)} of the words are met only once in ${whole(STATES)} states.`,
        `Second half of the trajectory: ${percent(fresh.words)} of its words, and ` +
          `${percent(fresh.steps)} of its steps from word to word, are not in the first half.`,
      ];
      facts.replaceChildren(...lines.map((line) => element("li", {}, line)));
      redraw();
      clearTimeout(silence); // in words, after a moment without change
      silence = setTimeout(() => {
        status.textContent =
          `With ${n} cells per axis the trajectory visits ${whole(cells.length)} of ` +
          `${whole(n ** 3)} cells, ${percent(cells.length / n ** 3)}: its vocabulary.`;
      }, 200);
    }

    function draw() {
      const { n, from, low, high, cells, tokens } = now;
      const [ink, muted] = [neutral.ink[ground()], neutral.muted[ground()]];
      const accent = getComputedStyle(stage).getPropertyValue("--playground-accent");
      const edge = (axis, i) => low[axis] + ((high[axis] - low[axis]) * i) / n;
      picture.clear();
      const fill = (pen, [i, , k]) => {
        const [left, right] = [picture.x(edge(0, i)), picture.x(edge(0, i + 1))];
        const [bottom, top] = [picture.y(edge(2, k)), picture.y(edge(2, k + 1))];
        pen.fillRect(left, top, right - left, bottom - top);
        pen.strokeRect(left, top, right - left, bottom - top);
      };
      // Cells behind one another in y fall together; one rectangle stands for them.
      const flat = (list) => [...new Map(list.map((cell) => [cell[0] * n + cell[2], cell])).values()];
      picture.inside((pen) => {
        pen.lineWidth = 0.5;
        pen.strokeStyle = muted;
        pen.globalAlpha = 0.25;
        pen.fillStyle = muted;
        for (const cell of flat(cells)) fill(pen, cell);
        pen.globalAlpha = 0.45;
        pen.fillStyle = accent;
        for (const cell of flat(tokens.slice(from, from + LENGTH).map((t) => cells[t]))) fill(pen, cell);
      });
      const side = states.map(([x, , z]) => [x, z]);
      picture.curve(side, ink, { width: 0.5, alpha: 0.35 });
      const shown = side.slice(from, from + LENGTH);
      picture.curve(shown, ink, { width: 1.5 });
      for (const point of shown) picture.dot(point, ink, 2.5);
      growth.clear();
      growth.curve(sizes.map(([m]) => [m, m ** 3]), muted, { width: 2, dash: [5, 4] });
      growth.curve(sizes, accent, { width: 2.5 });
      growth.dot([n, n ** 3], muted, 5);
      growth.dot([n, cells.length], accent, 5);
      growth.text("all cells, N³", [16, 16 ** 3], muted, "right");
      growth.text("visited", [24, sizes[24 - LEAST][1]], accent, "left");
    }

    const redraw = keepDrawn(stage, draw);
    update();
    return {
      states,
      get tokens() {
        return now.tokens;
      },
    };
  }

  enliven("cells", start);
})();
