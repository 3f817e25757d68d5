// Puts the generator and its controls in the place of every picture that has none yet. Finds them by their class: a page may
// hold several, and a notebook shows one output in several places.

const FAR = 3; // how far a slider moves along its direction, in standard deviations of the noise
const LEG = 2500; // milliseconds from one digit of a walk to the next
const MOST = 12; // characters of a written number
const VARIED = 0.2; // how far each of them is from the hand that writes all, as a fraction of the way to another hand

function element(name, settings, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(settings)) {
    if (key in made) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

async function start(figure) {
  const page = JSON.parse(figure.dataset.page);
  const { latent, classes, directions, height, width } = page;
  const network = networkOf(page.layers, await weightsOf(figure.querySelector("script").textContent));

  // The place in the latent space: of a seed, or on the way from one to the next; and which class is asked for.
  const hand = { seed: 1, next: 2, t: 0 };
  let chosen = 0;

  const one = element("canvas", { className: "one", width, height, role: "img" });
  const number = element("canvas", { className: "number", role: "img", hidden: true });
  const status = element("p", { role: "status" });

  const name = "class-" + Math.random().toString(36).slice(2);
  const radios = classes.map((label, i) => {
    const radio = element("input", { type: "radio", name, value: i, checked: i === 0 });
    radio.addEventListener("change", () => {
      chosen = i;
      show();
    });
    return element("label", {}, radio, element("span", {}, label));
  });

  function slider(label, settings, words) {
    const input = element("input", { type: "range", ...settings });
    const output = element("span", { className: "value" }); // not an <output>, which would be read out twice
    const show = () => {
      output.textContent = words(Number(input.value));
      input.setAttribute("aria-valuetext", output.textContent);
    };
    input.addEventListener("input", () => refresh());
    const row = element("label", { className: "slider" }, element("span", {}, label), input, output);
    return { label, input, show, row, first: settings.value };
  }
  const signed = (value) => (value > 0 ? "+" : value < 0 ? "−" : "") + Math.abs(value).toFixed(1);
  const along = directions.map(({ name }) => slider(name, { min: -FAR, max: FAR, step: 0.1, value: 0 }, signed));
  const truncation = slider("truncation", { min: 0.3, max: 3, step: 0.1, value: 2 }, (value) => value.toFixed(1));
  const sliders = [...along, truncation];

  // What the generator is given for a class at a point of the latent space, moved along the directions.
  const inputOf = (point, asked) => {
    const by = along.map(({ input }) => Number(input.value));
    const moved = Array.from(point, (value, i) => directions.reduce((sum, { values }, d) => sum + by[d] * values[i], value));
    return [...moved, ...classes.map((_, i) => (i === asked ? 1 : 0))];
  };
  const noise = (seed) => noiseOf(seed, latent, Number(truncation.input.value));
  const point = () => (hand.t === 0 ? noise(hand.seed) : slerp(noise(hand.seed), noise(hand.next), hand.t));
  const paint = (canvas, x, y, input) => {
    const pixels = new ImageData(width, height);
    network(input).forEach((value, i) => {
      const grey = Math.round((Math.max(-1, Math.min(1, value)) + 1) * 127.5);
      pixels.data.set([grey, grey, grey, 255], 4 * i);
    });
    canvas.getContext("2d").putImageData(pixels, x, y);
  };

  const kind = () => (classes.length ? "generated " + classes[chosen] : "generated digit");
  const show = () => {
    paint(one, 0, 0, inputOf(point(), chosen));
    const places = along.map(({ label, input }) => label + " " + signed(Number(input.value)));
    one.setAttribute("aria-label", [kind(), ...places].join(", "));
    write();
  };
  const refresh = () => {
    sliders.forEach((slider) => slider.show());
    show();
  };

  // A number in one hand, which never writes a digit twice in the same way. Each character is the name of a class.
  const digits = classes.every((label) => label.length === 1 && "0123456789".includes(label));
  const text = element("input", { className: "text", type: "text", size: 8, maxLength: MOST, autocomplete: "off" });
  if (digits) text.placeholder = "2026";
  const write = () => {
    const asked = [...text.value].map((character) => classes.indexOf(character)).filter((i) => i >= 0);
    number.hidden = asked.length === 0;
    if (number.hidden) return;
    Object.assign(number, { width: asked.length * width, height });
    number.style.width = 3 * number.width + "px";
    const own = point();
    asked.forEach((i, place) => {
      const varied = slerp(own, noise(hand.seed + place + 1), VARIED);
      paint(number, place * width, 0, inputOf(varied, i));
    });
    number.setAttribute("aria-label", "written: " + asked.map((i) => classes[i]).join(""));
  };
  text.addEventListener("input", () => {
    const unknown = [...text.value].filter((character) => !classes.includes(character));
    status.textContent = unknown.length ? "The generator has learned no " + unknown.join(" ") + "." : "";
    write();
  });

  let timer = null;
  const walk = button("walk", () => (timer === null ? go() : rest()));
  const rest = () => {
    cancelAnimationFrame(timer);
    timer = null;
    walk.textContent = "walk";
  };
  const go = () => {
    let last = null;
    const step = (now) => {
      if (!figure.isConnected) return rest();
      hand.t += (now - (last ?? now)) / LEG;
      last = now;
      if (hand.t >= 1) Object.assign(hand, { seed: hand.next, next: fresh(), t: 0 });
      show();
      timer = requestAnimationFrame(step);
    };
    timer = requestAnimationFrame(step);
    walk.textContent = "pause";
  };
  const fresh = () => Math.floor(Math.random() * 2 ** 31);
  const another = button("another one", () => {
    rest();
    Object.assign(hand, { seed: fresh(), next: fresh(), t: 0 });
    show();
    status.textContent = "A new " + kind() + ".";
  });
  const reset = button("reset", () => {
    sliders.forEach(({ input, first }) => (input.value = first));
    refresh();
  });

  // Ten columns of new noise; all classes below each other, or ten rows.
  const sheet = button("save a sheet", async () => {
    const [rows, columns, gap, scale] = [classes.length || 10, 10, 1, 4];
    const small = element("canvas", { width: columns * (width + gap) + gap, height: rows * (height + gap) + gap });
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++) {
        const seed = classes.length ? column : row * columns + column;
        paint(small, column * (width + gap) + gap, row * (height + gap) + gap, inputOf(noise(hand.seed + seed), row));
      }
    const large = element("canvas", { width: small.width * scale, height: small.height * scale });
    const context = large.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(small, 0, 0, large.width, large.height);
    const href = URL.createObjectURL(await new Promise((done) => large.toBlob(done)));
    element("a", { href, download: "digits.png" }).click();
    setTimeout(() => URL.revokeObjectURL(href), 10_000);
    status.textContent = rows * columns + " digits saved as digits.png.";
  });

  const choice = element("fieldset", {}, element("legend", {}, digits ? "digit" : "class"), element("div", {}, ...radios));
  const written = element("label", { className: "row" }, digits ? "write a number" : "write a word", text);
  const controls = element(
    "div",
    { className: "controls" },
    ...(classes.length ? [choice] : []),
    ...sliders.map(({ row }) => row),
    element("div", { className: "row" }, another, walk, reset, sheet),
    ...(classes.some((label) => [...label].length === 1) ? [written, number] : []),
    status
  );
  // JupyterLab leaves the keys to them.
  for (const control of controls.querySelectorAll("input, button")) control.dataset.lmSuppressShortcuts = "true";
  figure.querySelector("img").remove();
  figure.querySelector("figcaption").textContent = page.about;
  figure.prepend(element("div", { className: "both" }, one, controls));
  refresh();
  figure.draw = network; // for scripts: from noise, and the class as a 1 among zeros, to pixels in [-1, 1]
}

function button(label, press) {
  const made = element("button", { type: "button" }, label);
  made.addEventListener("click", press);
  return made;
}

for (const figure of document.querySelectorAll("figure.digit-gan-drawing:not([data-ready])")) {
  figure.dataset.ready = "";
  start(figure).catch((error) => figure.append(element("p", { role: "alert" }, "The page cannot draw here: " + error.message)));
}
