// The whole drawing as a file, with the colours that it has now.
const PNG_SIDE = 8000;
const PNG_SCALE = 2;
const MARGIN = 16;

export async function savePng(cy, name, background) {
  const box = cy.elements().boundingBox();
  const scale = Math.min(PNG_SCALE, PNG_SIDE / Math.max(box.w, box.h, 1));
  save(`${name}.png`, await cy.png({ full: true, scale, bg: background, output: 'blob-promise' }));
}

export function saveSvg(cy, name, background) {
  save(`${name}.svg`, new Blob([svg(cy, background)], { type: 'image/svg+xml' }));
}

export function saveText(name, text) {
  save(name, new Blob([text], { type: 'text/plain' }));
}

function save(name, blob) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Boxes, edges, nodes, in that order, as text. */
export function svg(cy, background) {
  const box = cy.elements().boundingBox();
  const [x, y, w, h] = [box.x1 - MARGIN, box.y1 - MARGIN, box.w + 2 * MARGIN, box.h + 2 * MARGIN].map(Math.round);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="${x} ${y} ${w} ${h}" width="${w}" height="${h}" font-family="Helvetica, Arial, sans-serif">`,
    `<rect x="${x}" y="${y}" width="${w}" height="${h}" fill="${background}"/>`,
    ...cy.nodes('.box').map(shape),
    ...cy.edges().map(line),
    ...cy.nodes('.op').map(shape),
    '</svg>',
  ].join('\n');
}

function shape(node) {
  const { x, y } = node.position();
  const [w, h] = [node.data('w'), node.data('h')];
  const box = node.hasClass('box');
  const look = `fill="${node.style('background-color')}" stroke="${node.style('border-color')}" stroke-width="${node.numericStyle('border-width')}"`
    + dashes(node.style('border-style')) + opacity(node);
  const [left, top] = [x - w / 2, y - h / 2].map(round);
  const outline = node.hasClass('complex')
    ? `<polygon points="${cut(left, top, w, h)}" ${look}/>`
    : `<rect x="${left}" y="${top}" width="${w}" height="${h}" rx="${box ? 8 : 6}" ${look}/>`;
  const at = box ? `x="${round(left + 6)}" y="${round(top + 13)}"` : `x="${round(x)}" y="${round(y)}" text-anchor="middle" dominant-baseline="central"`;
  const weight = node.style('font-weight');
  const text = `<text ${at} font-size="${node.numericStyle('font-size')}" font-weight="${weight}" fill="${node.style('color')}"${opacity(node)}>${escape(node.data('label'))}</text>`;
  return `<g><title>${escape(node.data('name') ?? node.data('label'))}</title>${outline}${text}</g>`;
}

function line(edge) {
  const points = [edge.sourceEndpoint(), ...(edge.hasClass('bent') ? edge.segmentPoints() ?? [] : []), edge.targetEndpoint()];
  const path = points.map(({ x, y }) => `${round(x)},${round(y)}`).join(' ');
  const colour = edge.style('line-color');
  return `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="${edge.numericStyle('width')}" stroke-linejoin="round"`
    + `${dashes(edge.style('line-style'))}${opacity(edge)}/>`
    + `<polygon points="${arrow(points)}" fill="${colour}"${opacity(edge)}/>${label(edge)}`;
}

/** A label beside the middle of an edge, where it is shown. */
function label(edge) {
  if (!edge.hasClass('shaped') || !edge.data('shape')) return '';
  const { x, y } = edge.midpoint();
  return `<text x="${round(x)}" y="${round(y)}" text-anchor="middle" dominant-baseline="central" font-size="7" fill="${edge.style('color')}">${escape(edge.data('shape'))}</text>`;
}

function arrow(points) {
  const [from, to] = points.slice(-2);
  const length = Math.hypot(to.x - from.x, to.y - from.y) || 1;
  const [dx, dy] = [(to.x - from.x) / length, (to.y - from.y) / length];
  const corner = (side) => `${round(to.x - 5 * dx - side * 2.5 * dy)},${round(to.y - 5 * dy + side * 2.5 * dx)}`;
  return `${round(to.x)},${round(to.y)} ${corner(1)} ${corner(-1)}`;
}

function cut(x, y, w, h, c = 6) {
  const corners = [[c, 0], [w - c, 0], [w, c], [w, h - c], [w - c, h], [c, h], [0, h - c], [0, c]];
  return corners.map(([dx, dy]) => `${round(x + dx)},${round(y + dy)}`).join(' ');
}

function dashes(style) {
  return { dashed: ' stroke-dasharray="5 4"', dotted: ' stroke-dasharray="1.5 3"' }[style] ?? '';
}

function opacity(element) {
  const value = element.numericStyle('opacity');
  return value < 1 ? ` opacity="${value}"` : '';
}

function round(value) {
  return Math.round(value * 10) / 10;
}

function escape(text) {
  return String(text).replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/"/g, '&quot;');
}
