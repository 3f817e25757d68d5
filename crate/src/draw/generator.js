// The generator: its weights, and what each of its layers computes for one sample. Values lie as in the crate: channel by
// channel, row by row.

// Half-precision numbers, all high bytes before all low ones, deflated and written as text.
async function weightsOf(text) {
  const stream = new Blob([bytesOf(text)]).stream().pipeThrough(new DecompressionStream("deflate"));
  const planes = new Uint8Array(await new Response(stream).arrayBuffer());
  const numbers = Float32Array.from({ length: 1 << 16 }, (_, bits) => {
    const [sign, exponent, fraction] = [bits >> 15, (bits >> 10) & 31, (bits & 1023) / 1024];
    return (sign ? -1 : 1) * (exponent ? (1 + fraction) * 2 ** (exponent - 15) : fraction * 2 ** -14);
  });
  const n = planes.length / 2;
  const weights = new Float32Array(n);
  for (let i = 0; i < n; i++) weights[i] = numbers[(planes[i] << 8) | planes[n + i]];
  return weights;
}

// Base85: five printable characters are four bytes, the most significant first. Characters that mean something in HTML, in JSON
// or to MathJax are none of them.
function bytesOf(text) {
  const digits = new Uint8Array(128);
  const meaning = [34, 36, 38, 39, 45, 60, 62, 92, 96];
  for (let code = 33, digit = 0; code < 127; code++) if (!meaning.includes(code)) digits[code] = digit++;
  const bytes = new Uint8Array(Math.floor((text.length * 4) / 5));
  for (let from = 0, to = 0; from < text.length; from += 5) {
    let value = 0;
    for (let i = from; i < from + 5; i++) value = value * 85 + (i < text.length ? digits[text.charCodeAt(i)] : 84);
    for (let shift = 24; shift >= 0 && to < bytes.length; shift -= 8) bytes[to++] = value >>> shift;
  }
  return bytes;
}

// The product of a (rows, inner) and b (inner, columns); the value at (r, i) of a lies at r * down + i * across. Takes four
// rows of b at a time, which saves most of the reads and writes of y.
function product(a, [down, across], b, rows, inner, columns) {
  const y = new Float32Array(rows * columns);
  for (let r = 0; r < rows; r++) {
    const row = y.subarray(r * columns, (r + 1) * columns);
    const at = (i) => (i < inner ? a[r * down + i * across] : 0);
    for (let i = 0; i < inner; i += 4) {
      const [a0, a1, a2, a3] = [at(i), at(i + 1), at(i + 2), at(i + 3)];
      const b0 = i * columns;
      const [b1, b2, b3] = [1, 2, 3].map((k) => Math.min(i + k, inner - 1) * columns);
      for (let c = 0; c < columns; c++) {
        row[c] += a0 * b[b0 + c] + a1 * b[b1 + c] + a2 * b[b2 + c] + a3 * b[b3 + c];
      }
    }
  }
  return y;
}

function plus(y, bias) {
  if (!bias) return y;
  const values = y.length / bias.length;
  for (let i = 0; i < y.length; i++) y[i] += bias[Math.floor(i / values)];
  return y;
}

// Calls `visit` with the places of a pixel in the big and in the small image that a kernel's tap connects.
function taps({ kernel, stride, padding }, [, height, width], [, rows, columns], visit) {
  for (let row = 0; row < rows; row++)
    for (let ky = 0; ky < kernel; ky++) {
      const y = row * stride + ky - padding[0];
      if (y < 0 || y >= height) continue;
      for (let column = 0; column < columns; column++)
        for (let kx = 0; kx < kernel; kx++) {
          const x = column * stride + kx - padding[1];
          if (x >= 0 && x < width) visit(y * width + x, row * columns + column, ky * kernel + kx);
        }
    }
}

const OPS = {
  dense: (x, [weight, bias], { input, output }) => plus(product(x, [0, 1], weight, 1, input[0], output[0]), bias),

  conv2d(x, [weight, bias], layer) {
    const { input, output, kernel } = layer;
    const [big, small, square] = [input[1] * input[2], output[1] * output[2], kernel * kernel];
    const patches = new Float32Array(input[0] * square * small);
    taps(layer, input, output, (from, to, tap) => {
      for (let c = 0; c < input[0]; c++) patches[(c * square + tap) * small + to] = x[c * big + from];
    });
    const inner = input[0] * square;
    return plus(product(weight, [inner, 1], patches, output[0], inner, small), bias);
  },

  conv_transpose2d(x, [weight, bias], layer) {
    const { input, output, kernel } = layer;
    const [small, big, square] = [input[1] * input[2], output[1] * output[2], kernel * kernel];
    const columns = output[0] * square;
    const spread = product(x, [1, small], weight, small, input[0], columns);
    const y = new Float32Array(output[0] * big);
    taps(layer, output, input, (to, from, tap) => {
      for (let c = 0; c < output[0]; c++) y[c * big + to] += spread[from * columns + c * square + tap];
    });
    return plus(y, bias);
  },

  batch_norm(x, [gamma, beta, mean, variance], { epsilon }) {
    const values = x.length / gamma.length;
    return x.map((value, i) => {
      const c = Math.floor(i / values);
      return (gamma[c] * (value - mean[c])) / Math.sqrt(variance[c] + epsilon) + beta[c];
    });
  },

  max_pool2d(x, _, { input, output, size }) {
    const y = new Float32Array(output[0] * output[1] * output[2]).fill(-Infinity);
    const layer = { kernel: size, stride: size, padding: [0, 0] };
    const [big, small] = [input[1] * input[2], output[1] * output[2]];
    taps(layer, input, output, (from, to) => {
      for (let c = 0; c < output[0]; c++) y[c * small + to] = Math.max(y[c * small + to], x[c * big + from]);
    });
    return y;
  },

  upsample2d(x, _, { input, output, size }) {
    const [, rows, columns] = output;
    return new Float32Array(output[0] * rows * columns).map((_, i) => {
      const [row, column] = [Math.floor(i / columns) % rows, i % columns];
      const c = Math.floor(i / (rows * columns));
      return x[(c * input[1] + Math.floor(row / size)) * input[2] + Math.floor(column / size)];
    });
  },

  leaky_relu: (x, _, { slope }) => x.map((value) => (value > 0 ? value : slope * value)),
  tanh: (x) => x.map(Math.tanh),
};

// A function from one input to one output of the network.
function networkOf(layers, weights) {
  let end = 0;
  const steps = layers.map((layer) => {
    const variables = layer.sizes.map((size) => weights.subarray(end, (end += size)));
    return (x) => OPS[layer.op](x, variables, layer);
  });
  return (input) => steps.reduce((x, step) => step(x), Float32Array.from(input));
}
