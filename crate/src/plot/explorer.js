// Puts sliders in the place of every picture that has none yet. Finds them by their class: a page may hold several, and
// a notebook shows one output in several places.
for (const figure of document.querySelectorAll("figure.digit-gan-explorer:not([data-ready])")) {
  figure.dataset.ready = "";
  const sheet = JSON.parse(figure.dataset.sheet);
  const [picture, caption] = figure.children;
  const element = (name, style, ...children) => {
    const made = document.createElement(name);
    made.style.cssText = style;
    made.append(...children);
    return made;
  };

  const canvas = element("canvas", "width: 224px; image-rendering: pixelated; background: black");
  Object.assign(canvas, { width: sheet.width, height: sheet.height });
  canvas.setAttribute("role", "img");

  const sliders = sheet.axes.map((axis) => {
    const slider = element("input", "width: 100%; margin: 0");
    Object.assign(slider, { type: "range", min: 0, max: axis.stops.length - 1, step: 1 });
    slider.value = axis.stops.length >> 1;
    slider.dataset.lmSuppressShortcuts = "true"; // JupyterLab leaves the arrow keys to it
    slider.addEventListener("input", () => show());
    return slider;
  });
  const values = sliders.map(() => element("output", "text-align: right"));
  const rows = sheet.axes.map((axis, i) => {
    const grid = "display: grid; grid-template-columns: 7em 1fr 3em; gap: 0.8em; align-items: center; margin: 0.8em 0";
    const row = element("label", grid, axis.name, sliders[i], values[i]);
    row.hidden = axis.stops.length < 2;
    if (row.hidden) row.style.display = "none";
    return row;
  });
  const controls = element("div", "flex: 1 1 16em; max-width: 28em", ...rows);

  const summary = element("summary", "cursor: pointer", "all at once");
  const all = element("details", "margin-top: 0.8em", summary);
  figure.prepend(element("div", "display: flex; flex-wrap: wrap; gap: 2em; align-items: center", canvas, controls), all);
  all.append(picture, caption);

  const show = () => {
    const places = sliders.map((slider) => Number(slider.value));
    const names = sheet.axes.map((axis, i) => axis.stops[places[i]]);
    names.forEach((name, i) => {
      values[i].textContent = name;
      sliders[i].setAttribute("aria-valuetext", name);
    });
    canvas.setAttribute("aria-label", sheet.axes.map((axis, i) => axis.name + " " + names[i]).join(", "));
    const [block, down, across] = places;
    // Where a digit, or a block of `stops`, begins: there is a line before each digit.
    const begin = (block, stops, i, size) => sheet.space + block * (stops * (size + 1) + 1 + sheet.space) + 1 + i * (size + 1);
    const [, rows, columns] = sheet.axes.map((axis) => axis.stops.length);
    const x = begin(block % sheet.columns, columns, across, sheet.width);
    const y = begin(Math.floor(block / sheet.columns), rows, down, sheet.height);
    const size = [sheet.width, sheet.height];
    canvas.getContext("2d").drawImage(picture, x, y, ...size, 0, 0, ...size);
  };
  // A picture in the page is decoded after the page's text, and drawing it earlier would draw nothing.
  picture.addEventListener("load", show);
  show();
}
