// Adds a slider to every row of pictures that has none yet. Finds them by their class: a page may hold several, and a
// notebook shows one output in several places.
for (const figure of document.querySelectorAll("figure.digit-gan-scrubber:not([data-ready])")) {
  figure.dataset.ready = "";
  const frames = JSON.parse(figure.dataset.frames);
  const [picture, caption] = figure.children;
  const element = (name, style, ...children) => {
    const made = document.createElement(name);
    made.style.cssText = style;
    made.append(...children);
    return made;
  };

  // Every picture is made and decoded once: the next one is there when the slider moves.
  const pictures = frames.map(({ alt, src }) => {
    if (!src) return picture;
    const image = picture.cloneNode();
    Object.assign(image, { alt, src });
    return image;
  });

  const last = frames.length - 1;
  const slider = element("input", "flex: 1; min-width: 0; margin: 0");
  Object.assign(slider, { type: "range", min: 0, max: last, step: 1, value: last });
  slider.setAttribute("aria-label", "frame");
  slider.dataset.lmSuppressShortcuts = "true"; // JupyterLab leaves the arrow keys to it
  slider.addEventListener("input", () => {
    stop();
    show();
  });

  const play = element("button", "width: 3em; font: inherit; cursor: pointer");
  play.type = "button";
  let timer = null;
  const stop = () => {
    clearInterval(timer);
    timer = null;
    label();
  };
  play.addEventListener("click", () => {
    if (timer !== null) return stop();
    if (Number(slider.value) === last) slider.value = 0;
    else slider.value = Number(slider.value) + 1;
    timer = setInterval(() => {
      if (Number(slider.value) === last) return stop();
      slider.value = Number(slider.value) + 1;
      show();
    }, 200);
    label();
    show();
  });
  const label = () => {
    play.textContent = timer === null ? "▶" : "❚❚";
    play.setAttribute("aria-label", timer === null ? "play" : "pause");
  };

  const text = element("output", "min-width: 7em; text-align: right; font-variant-numeric: tabular-nums");
  const row = "display: flex; gap: 0.8em; align-items: center; box-sizing: border-box; padding: 0.4em 0";
  const controls = element("div", row + "; max-width: min(100%, " + picture.width + "px)", play, slider, text);
  caption.replaceWith(controls);

  const show = () => {
    const place = Number(slider.value);
    figure.querySelector("img").replaceWith(pictures[place]);
    text.textContent = frames[place].label;
    slider.setAttribute("aria-valuetext", frames[place].label);
  };
  label();
  show();
}
