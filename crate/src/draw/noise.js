// Points of the latent space: noise of a seed, and what lies between two points.

// Uniform in [0, 1): mulberry32.
function uniforms(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

// Standard normal noise. A value beyond the threshold is drawn again, the others stay: this is latent::truncate.
function noiseOf(seed, latent, threshold) {
  return Float64Array.from({ length: latent }, (_, i) => {
    const uniform = uniforms(Math.imul(seed + 1, 0x9e3779b1) + Math.imul(i + 1, 0x85ebca6b));
    for (;;) {
      const [u, v] = [uniform(), uniform()];
      const value = Math.sqrt(-2 * Math.log(1 - u)) * Math.cos(2 * Math.PI * v);
      if (Math.abs(value) <= threshold) return value;
    }
  });
}

// On the arc from one point to another: latent::slerp.
function slerp(from, to, t) {
  const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
  const [length, other] = [from, to].map((point) => Math.sqrt(dot(point, point)));
  const cosine = dot(from, to) / (length * other);
  const angle = Math.acos(Math.max(-1, Math.min(1, cosine)));
  const [a, b] = angle < 1e-6 ? [1 - t, t] : [1 - t, t].map((part) => Math.sin(part * angle) / Math.sin(angle));
  const grown = (1 - t) * length + t * other;
  return from.map((value, i) => grown * ((a * value) / length + (b * to[i]) / other));
}
