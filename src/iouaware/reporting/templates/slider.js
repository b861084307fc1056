// Fusion, NMS and threshold as in iouaware's postprocess.py, on the candidates in this page.
"use strict";

// S = p^alpha * IoU^(1 - alpha); 0^0 is 1, and without a predicted IoU S is p
function fuse(p, predictedIou, alpha) {
  return predictedIou === null ? p : Math.pow(p, alpha) * Math.pow(predictedIou, 1 - alpha);
}

function overlap(a, b) {
  const w = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const h = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  if (w <= 0 || h <= 0) return 0;
  const union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h;
  return (w * h) / union;
}

// candidates: [x1, y1, x2, y2, label, p, predicted IoU]; returns [{index, score}], best first
function select(candidates, alpha, threshold, minIou, nms) {
  const ranked = candidates
    .map((c, index) => ({ index, score: fuse(c[5], c[6], alpha) }))
    .sort((a, b) => b.score - a.score || a.index - b.index);
  const kept = [];
  for (const one of ranked) {
    if (kept.length === nms.max_detections) break;
    const c = candidates[one.index];
    const loses = kept.some((other) => {
      const d = candidates[other.index];
      return (nms.across_classes || c[4] === d[4]) && overlap(c, d) > nms.iou;
    });
    if (!loses) kept.push(one);
  }
  return kept.filter(
    (one) => one.score >= threshold && (minIou === 0 || candidates[one.index][6] >= minIou)
  );
}
