/* The arithmetic of GPT-2, in single precision, after transformers' formulas, and counting beside it.
   No page here: weights and tokens in, numbers out. */
(() => {
  "use strict";

  /* Half precision to single: sign, five bits of exponent, ten of fraction. */
  function fromHalf(bits) {
    const [sign, exponent, fraction] = [bits & 0x8000 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
    if (exponent === 0) return (sign * fraction) / 2 ** 24;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * 2 ** (exponent - 15) * (1 + fraction / 1024);
  }

  /* The weights of dynlib.report.writer by name, each a Float32Array. */
  function unpack({ weights, shapes, precision }) {
    const text = atob(weights);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    const all =
      precision === "half"
        ? Float32Array.from(new Uint16Array(bytes.buffer), fromHalf)
        : new Float32Array(bytes.buffer);
    const found = {};
    let at = 0;
    for (const [name, shape] of Object.entries(shapes)) {
      const size = shape.reduce((product, n) => product * n, 1);
      found[name] = all.subarray(at, at + size);
      at += size;
    }
    return found;
  }

  /* x M + b for a matrix (inputs, outputs), row by row of M. */
  function affine(x, matrix, bias) {
    const out = Float32Array.from(bias);
    const n = out.length;
    for (let i = 0; i < x.length; i++) {
      const [value, row] = [x[i], i * n];
      for (let j = 0; j < n; j++) out[j] += value * matrix[row + j];
    }
    return out;
  }

  function normed(x, weight, bias) {
    let [mean, variance] = [0, 0];
    for (const value of x) mean += value / x.length;
    for (const value of x) variance += (value - mean) ** 2 / x.length;
    const scale = 1 / Math.sqrt(variance + 1e-5);
    return x.map((value, i) => (value - mean) * scale * weight[i] + bias[i]);
  }

  const ROOT = Math.sqrt(2 / Math.PI);
  const gelu = (z) => 0.5 * z * (1 + Math.tanh(ROOT * (z + 0.044715 * z ** 3)));

  /* A model that reads token after token; keys and values of what it has read are kept. */
  class GPT {
    constructor(data) {
      Object.assign(this, data);
      this.w = unpack(data);
      this.forget();
    }

    /* Forget everything read so far. */
    forget() {
      this.read = 0;
      this.kept = Array.from({ length: this.layers }, () => ({ keys: [], values: [] }));
    }

    /* Read one token; the state from which the next one is predicted. */
    take(token) {
      const { w, width, heads, read } = this;
      const part = (name, number, size) => w[name].subarray(number * size, (number + 1) * size);
      const place = part("positions", read, width);
      let x = part("table", token, width).map((value, i) => value + place[i]);
      for (let layer = 0; layer < this.layers; layer++) {
        const use = (name, input) =>
          affine(input, w[`${layer}.${name}`], w[`${layer}.${name}_bias`]);
        const norm = (name) => normed(x, w[`${layer}.${name}`], w[`${layer}.${name}_bias`]);
        const add = (change) => (x = x.map((value, i) => value + change[i]));
        const three = use("attention", norm("norm1"));
        const { keys, values } = this.kept[layer];
        keys.push(three.subarray(width, 2 * width));
        values.push(three.subarray(2 * width));
        const mixed = new Float32Array(width);
        const size = width / heads;
        for (let head = 0; head < heads; head++) {
          const from = head * size;
          const scores = keys.map((key) => {
            let sum = 0;
            for (let i = from; i < from + size; i++) sum += three[i] * key[i];
            return sum / Math.sqrt(size);
          });
          const shares = softmax(scores, 1);
          shares.forEach((share, t) => {
            for (let i = from; i < from + size; i++) mixed[i] += share * values[t][i];
          });
        }
        add(use("projection", mixed));
        add(use("narrow", use("wide", norm("norm2")).map(gelu)));
      }
      this.read++;
      return normed(x, w.norm, w.norm_bias);
    }

    /* Logits of every token after a state. */
    logits(state) {
      const { table } = this.w;
      const found = new Float32Array(this.vocabulary);
      for (let token = 0; token < found.length; token++) {
        let sum = 0;
        for (let i = 0, at = token * this.width; i < this.width; i++, at++) sum += state[i] * table[at];
        found[token] = sum;
      }
      return found;
    }

    /* Logits after a text. As in dynlib.tokens.gpt.generate: once the context is full, the last
       half of it is read anew. With a memory below the context, the last tokens alone are read. */
    after(text, memory = this.context) {
      const whole = memory >= this.context;
      if (!whole || this.seen === undefined || this.seen > text.length) {
        this.forget();
        this.seen = Math.max(0, text.length - Math.min(memory, this.context));
      } else if (this.read === this.context) {
        this.forget();
        this.seen = text.length - Math.floor(this.context / 2);
      }
      let state = null;
      for (; this.seen < text.length; this.seen++) state = this.take(text[this.seen]);
      if (!whole) this.seen = undefined;
      return this.logits(state);
    }

    /* Begin another text. */
    restart() {
      this.seen = undefined;
    }
  }

  function softmax(logits, temperature) {
    let most = -Infinity;
    for (const each of logits) most = Math.max(most, each);
    const found = Float64Array.from(logits, (each) => Math.exp((each - most) / temperature));
    let total = 0;
    for (const each of found) total += each;
    return found.map((each) => each / total);
  }

  const likeliest = (values) => values.reduce((best, each, i) => (each > values[best] ? i : best), 0);

  /* A token by its probabilities; `share` is uniform on [0, 1). */
  function drawn(probabilities, share) {
    let sum = 0;
    for (let token = 0; token < probabilities.length; token++) {
      sum += probabilities[token];
      if (share < sum) return token;
    }
    return likeliest(probabilities);
  }

  /* Probabilities at a temperature; at 0 the likeliest token has them all. */
  function heated(probabilities, temperature) {
    const found = new Float64Array(probabilities.length);
    if (temperature === 0) {
      found[likeliest(probabilities)] = 1;
      return found;
    }
    let total = 0;
    probabilities.forEach((each, i) => (total += found[i] = each ** (1 / temperature)));
    return found.map((each) => each / total);
  }

  /* Counting: what followed the last tokens wherever they stand in a text. */
  class Counts {
    constructor(text, vocabulary) {
      Object.assign(this, { text, vocabulary });
      this.places = Array.from({ length: vocabulary }, () => []); // of each token, but the last one
      for (let end = 0; end < text.length - 1; end++) this.places[text[end]].push(end);
    }

    /* Probabilities of the next token, from as many of the last `memory` tokens as the text holds
       in one place; from how often each token occurs where it does not even hold the last one. */
    after(said, memory) {
      const { text } = this;
      let found = this.places[said[said.length - 1]];
      for (let back = 1; back < Math.min(memory, said.length); back++) {
        const longer = found.filter((end) => text[end - back] === said[said.length - 1 - back]);
        if (!longer.length) break;
        found = longer;
      }
      const next = new Float64Array(this.vocabulary);
      if (found.length) for (const end of found) next[text[end + 1]] += 1 / found.length;
      else for (const token of text) next[token] += 1 / text.length;
      return next;
    }
  }

  Object.assign(window.Playground, { GPT, Counts, softmax, heated, drawn, likeliest });
})();
