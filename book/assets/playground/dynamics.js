/* The arithmetic of the playgrounds: maps of a state one step on, forecasts, cells. No page here:
   numbers in, numbers out, in double precision, after dynlib's own formulas. */
(() => {
  "use strict";

  /* The classical Runge–Kutta method, as in dynlib.dynamics.flows.TimeMap. */
  const classical = {
    inner: [[], [1 / 2], [0, 1 / 2], [0, 0, 1]],
    outer: [1 / 6, 1 / 3, 1 / 3, 1 / 6],
  };

  const nonzero = (row) => row.flatMap((weight, j) => (weight === 0 ? [] : [j]));

  /* x -> M x + b; zeros of M are left out, as most of a structured network is zeros. */
  function affine(matrix, bias) {
    const columns = matrix.map(nonzero);
    const weights = matrix.map((row, i) => columns[i].map((j) => row[j]));
    return (x, out = new Array(weights.length)) => {
      for (let i = 0; i < weights.length; i++) {
        const [column, weight] = [columns[i], weights[i]];
        let sum = bias ? bias[i] : 0;
        for (let k = 0; k < weight.length; k++) sum += weight[k] * x[column[k]];
        out[i] = sum;
      }
      return out;
    };
  }

  /* All products of coordinates up to a degree, in the order of dynlib's Monomials: each one is
     a coordinate times an earlier one that begins with the same coordinate or a later. */
  function monomials(dim, degree) {
    const factors = [];
    let [level, count] = [[{ first: dim, index: 0 }], 1];
    for (let k = 1; k <= degree; k++) {
      const next = [];
      for (let i = 0; i < dim; i++) {
        for (const word of level.filter(({ first }) => first >= i)) {
          factors.push([i, word.index]);
          next.push({ first: i, index: count++ });
        }
      }
      level = next;
    }
    const values = new Float64Array(count).fill(1);
    return (x) => {
      for (let k = 0; k < factors.length; k++) values[k + 1] = x[factors[k][0]] * values[factors[k][1]];
      return values; // the same array every time
    };
  }

  /* A state one time `dt` on, by equal steps of an explicit Runge–Kutta method, from the
     velocity as a function (state, where to write it). */
  function rungeKutta(velocity, dt, substeps, { inner, outer }) {
    const h = dt / substeps;
    const stages = [...inner, outer].map((row) => nonzero(row).map((j) => [h * row[j], j]));
    const slopes = inner.map(() => []);
    const moved = [];
    return (start) => {
      let x = start;
      for (let n = 0; n < substeps; n++) {
        for (let stage = 0; stage < stages.length; stage++) {
          const to = stage < slopes.length ? moved : new Array(x.length); // the last is the step
          for (let i = 0; i < x.length; i++) {
            let sum = x[i];
            for (const [weight, j] of stages[stage]) sum += weight * slopes[j][i];
            to[i] = sum;
          }
          if (stage < slopes.length) velocity(moved, slopes[stage]);
          else x = to;
        }
      }
      return x;
    };
  }

  const activations = {
    tanh: Math.tanh,
    sigmoid: (z) => 1 / (1 + Math.exp(-z)),
    relu: (z) => Math.max(z, 0),
    linear: (z) => z,
  };

  /* Every kind of model that dynlib.report.playground exports, as a function of the state. */
  const kinds = {
    layers({ layers }) {
      const each = layers.map((layer) => [
        affine(layer.weight, layer.bias),
        activations[layer.activation],
      ]);
      return (x) => each.reduce((h, [product, activation]) => product(h).map((z) => activation(z)), x);
    },
    polynomial({ degree, mean, scale, coefficients }) {
      const [products, increments] = [monomials(mean.length, degree), affine(coefficients)];
      return (x) => {
        const found = increments(products(x.map((value, i) => (value - mean[i]) / scale[i])));
        return x.map((value, i) => value + found[i]);
      };
    },
    field({ coefficients, substeps }, { dt, tableau }) {
      const [products, velocity] = [monomials(coefficients.length, 2), affine(coefficients)];
      return rungeKutta((x, out) => velocity(products(x), out), dt, substeps, tableau);
    },
  };

  /* States at steps 1 to n, one predicted from another. */
  function rollout(map, start, n) {
    const path = [];
    for (let [x, k] = [start, 0]; k < n; k++) path.push((x = map(x)));
    return path;
  }

  /* The first step, counted from 1, at which a forecast is further than `limit` from the truth
     (or no number at all); Infinity if none is. */
  function leaves(path, truth, limit) {
    const k = path.findIndex((x, i) => !(Math.hypot(...x.map((v, j) => v - truth[i][j])) <= limit));
    return k < 0 ? Infinity : k + 1;
  }

  /* A grid of n cells per axis over some states, as dynlib.tokens.grid.Grid: the cells that they
     visit, as integer coordinates in the order of their tokens, and the tokens of the states. */
  function grid(states, n) {
    const axes = states[0].map((_, i) => i);
    const low = axes.map((i) => states.reduce((least, x) => Math.min(least, x[i]), Infinity));
    const high = axes.map((i) => states.reduce((most, x) => Math.max(most, x[i]), -Infinity));
    const cell = (x, i) => Math.min(Math.floor(((x[i] - low[i]) / (high[i] - low[i])) * n), n - 1);
    const flat = states.map((x) => axes.reduce((number, i) => number * n + cell(x, i), 0));
    const occupied = [...new Set(flat)].sort((a, b) => a - b);
    const rank = new Map(occupied.map((number, token) => [number, token]));
    const cells = occupied.map((number) =>
      axes.map((i) => Math.floor(number / n ** (axes.length - 1 - i)) % n),
    );
    return { low, high, cells, tokens: flat.map((number) => rank.get(number)) };
  }

  const map = (model, data) => kinds[model.kind](model, data);
  window.Playground = { classical, rungeKutta, map, rollout, leaves, grid };
})();
