// Redraws the pictures of the page when a slider moves.
(function () {
  const block = document.getElementById("slider-data");
  if (!block) return;
  const data = JSON.parse(block.textContent);
  if (!data.pictures.length) return; // the page has no sliders then
  const control = (name) => document.getElementById("slider-" + name);
  const ABSENT = " not drawn at alpha 1 and its own threshold";
  const SVG = "http://www.w3.org/2000/svg";

  function shape(kind, attributes) {
    const node = document.createElementNS(SVG, kind);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    return node;
  }

  function drawBox(layer, box, css, words) {
    const place = { x: box[0], y: box[1], width: box[2] - box[0], height: box[3] - box[1] };
    layer.append(shape("rect", { ...place, class: "halo " + css }));
    const line = shape("rect", { ...place, class: css });
    if (words) line.append(Object.assign(shape("title", {}), { textContent: words }));
    layer.append(line);
  }

  function drawPicture(figure, picture, kept, before) {
    const layer = figure.querySelector("svg");
    layer.replaceChildren();
    if (control("truth").checked)
      for (const truth of picture.truths) drawBox(layer, truth, "true", data.classes[truth[4]]);
    let moved = 0;
    for (const one of kept.slice().reverse()) {
      const c = picture.candidates[one.index];
      const fresh = !before.has(one.index);
      if (fresh) moved += 1;
      const fit = c[6] === null ? "" : ", predicted IoU " + c[6].toFixed(2);
      const words = data.classes[c[4]] + ": S " + one.score.toFixed(2) + ", p " + c[5].toFixed(2) + fit;
      drawBox(layer, c, fresh ? "drawn fresh" : "drawn", words);
    }
    const count = kept.length === 1 ? "1 box" : kept.length + " boxes";
    figure.querySelector(".count").textContent =
      count + " for " + picture.truths.length + " true" + (moved ? ", " + moved + ABSENT : "");
    return moved;
  }

  // beside a slider, and to a screen reader, which would say the number of the step
  function say(name, value) {
    control(name + "-value").textContent = value;
    control(name).setAttribute("aria-valuetext", value);
  }

  function update() {
    const step = data.steps[Number(control("alpha").value)];
    const threshold = Number(control("threshold").value);
    const minIou = Number(control("min-iou").value);
    const atOne = step.alpha === 1;
    let boxes = 0;
    let moved = 0;
    document.querySelectorAll("[data-picture]").forEach((figure) => {
      const picture = data.pictures[Number(figure.dataset.picture)];
      const kept = select(picture.candidates, step.alpha, threshold, minIou, data.nms);
      // at alpha 1 itself a box is new by its threshold alone, which is not what the colour says
      const base = atOne ? kept : select(picture.candidates, 1, data.base_threshold, 0, data.nms);
      boxes += kept.length;
      moved += drawPicture(figure, picture, kept, new Set(base.map((one) => one.index)));
    });
    say("alpha", step.text);
    say("threshold", threshold.toFixed(2));
    say("min-iou", minIou.toFixed(2));
    control("summary").textContent =
      boxes + (boxes === 1 ? " box" : " boxes") + " drawn" + (atOne ? "" : ", " + moved + " of them" + ABSENT) + ". " + step.words;
  }

  control("alpha").addEventListener("input", () => {
    control("threshold").value = data.steps[Number(control("alpha").value)].threshold;
    update();
  });
  for (const name of ["threshold", "min-iou", "truth"]) control(name).addEventListener("input", update);
  update();
})();
