// Colours from Streamlit's theme, and cytoscape's stylesheet made of them.

// A mark is told by its line as well as by its hue. What is not here is solid.
const LINES = { split: 'dashed', recut: 'double', affix: 'dashed', candidate: 'double', along: 'dotted' };
// How much of a mark's hue is in an operator's fill.
const FILLS = { same: 0.25, group: 0.25, affix: 0.08, cluster: 0.7, candidate: 0.7 };

const CYCLE_PIXELS = 3;

/**
 * The theme as plain values. Hues of subgraphs and of marks come from Python's palette; fills are mixed with the background, so
 * they suit dark and light.
 */
export function readTheme(root, hues, marks) {
  const computed = getComputedStyle(root);
  const read = (name, fallback) => computed.getPropertyValue(name).trim() || fallback;
  const background = rgb(read('--st-background-color', '#ffffff'));
  const text = rgb(read('--st-text-color', '#31333f'));
  const dark = luminance(background) < 0.5;
  const grey = mix(text, background, 0.55);
  const tint = (hex, share = dark ? 0.5 : 0.45) => {
    const hue = rgb(hex);
    return {
      area: mix(hue, background, dark ? 0.2 : 0.16),
      fill: mix(hue, background, share),
      line: mix(hue, text, dark ? 0.8 : 0.72),
    };
  };
  const tints = hues.map((hex) => tint(hex));
  const plain = { area: css(background), fill: mix(text, background, 0.1), line: grey };
  return {
    background: css(background), text: css(text), grey, faint: mix(text, background, 0.42), primary: read('--st-primary-color', '#ff4b4b'),
    font: read('--st-font', 'sans-serif'), tints, plain,
    marks: Object.entries(marks).map(([name, hex]) => ({ name, hue: hex, line: LINES[name] || 'solid', ...named(tint(hex, FILLS[name])) })),
    legend: {
      box: { fill: tints[0].area, line: tints[0].line },
      plain: { fill: css(background), line: tints[0].line },
      complex: { fill: tints[0].fill, line: tints[0].line },
      single: { fill: plain.fill, line: plain.line },
    },
  };
}

export function stylesheet(theme) {
  const bent = {
    'curve-style': 'round-segments', 'segment-weights': 'data(weights)', 'segment-distances': 'data(distances)',
    'edge-distances': 'node-position', 'segment-radii': 10,
  };
  return [
    {
      selector: 'node',
      style: {
        width: 'data(w)', height: 'data(h)', label: 'data(label)', 'font-family': theme.font, color: theme.text,
        'text-valign': 'center', 'text-halign': 'center', 'min-zoomed-font-size': 5, 'overlay-opacity': 0, 'z-index-compare': 'manual',
      },
    },
    { selector: '.box', style: {
      shape: 'round-rectangle', 'corner-radius': 8, 'border-width': 1.5, 'text-valign': 'top', 'text-margin-y': 16, 'text-margin-x': titleShift,
      'font-size': 12, 'font-weight': 600, 'z-index': 0 } },
    { selector: '.op', style: {
      shape: 'round-rectangle', 'corner-radius': 6, 'border-width': 1, 'font-size': 13, 'background-color': theme.background, 'z-index': 3 } },
    { selector: '.op', style: { 'border-color': theme.plain.line, 'background-color': theme.plain.fill } },
    { selector: '.complex', style: { shape: 'cut-rectangle', 'corner-radius': 7, 'border-width': 2.5, 'font-weight': 700 } },
    { selector: '.extern', style: { 'border-style': 'dashed' } },
    // A folded subgraph lies on a second sheet.
    { selector: '.folded', style: { 'font-weight': 600, ghost: 'yes', 'ghost-offset-x': 3, 'ghost-offset-y': 3, 'ghost-opacity': 0.5 } },
    ...theme.tints.flatMap((tint, index) => [
      { selector: `.box.t${index}`, style: { 'background-color': tint.area, 'border-color': tint.line } },
      { selector: `.op.t${index}`, style: { 'background-color': theme.background, 'border-color': tint.line } },
      { selector: `.folded.t${index}`, style: { 'background-color': tint.area } },
      { selector: `.complex.t${index}`, style: { 'background-color': tint.fill } },
    ]),
    { selector: 'edge', style: {
      width: 1.2, 'line-color': theme.grey, 'target-arrow-color': theme.grey, 'target-arrow-shape': 'triangle', 'arrow-scale': 0.6,
      'curve-style': 'straight', events: 'no', 'z-index': 2, 'z-index-compare': 'manual', 'overlay-opacity': 0 } },
    { selector: '.bent', style: bent },
    { selector: '.detour', style: { 'line-style': 'dashed', 'line-dash-pattern': [5, 4], 'line-color': theme.faint, 'target-arrow-color': theme.faint, 'z-index': 1 } },
    { selector: '.shaped', style: {
      label: 'data(shape)', 'font-size': 7, color: theme.text, 'min-zoomed-font-size': 6, 'text-background-color': theme.background,
      'text-background-opacity': 0.85, 'text-background-padding': 1, 'z-index': 4 } },
    { selector: '.op.unpainted', style: { 'background-color': theme.background, 'border-color': theme.grey } },
    { selector: '.box.unpainted', style: { 'background-color': theme.plain.fill, 'border-color': theme.grey } },
    { selector: '.painted', style: { 'background-color': 'data(paint)', 'border-color': theme.grey, color: 'data(ink)' } },
    { selector: '.touched', style: { width: 2.4, 'line-color': theme.text, 'target-arrow-color': theme.text } },
    ...theme.marks.flatMap(marked),
    { selector: '.faded', style: { opacity: 0.28 } },
    { selector: '.hit', style: { 'underlay-color': theme.primary, 'underlay-opacity': 0.45, 'underlay-padding': 5 } },
    { selector: '.op:selected', style: {
      'background-color': theme.text, color: theme.background, 'border-color': theme.primary, 'border-width': 3, 'z-index': 5 } },
    { selector: '.op.mark-cycle', style: { 'border-color': theme.marks.find((mark) => mark.name === 'cycle').hue, 'border-width': 5 } },
    { selector: 'core', style: {
      'selection-box-color': theme.primary, 'selection-box-border-color': theme.primary, 'selection-box-opacity': 0.18,
      'active-bg-size': 0 } },
  ];
}

/** How a mark looks on an operator, a box and an edge. A cycle is its edges: the operators on it keep their fill. */
function marked({ name, hue, line, area, fill, stroke }) {
  const cycle = name === 'cycle';
  return [
    { selector: `.op.mark-${name}`, style: {
      'border-color': stroke, 'border-style': line, 'border-width': line === 'double' ? 5 : 3, ...(cycle ? {} : { 'background-color': fill }) } },
    { selector: `.box.mark-${name}`, style: { 'background-color': area, 'border-color': stroke, 'border-style': line, 'border-width': 2.5 } },
    { selector: `edge.mark-${name}`, style: {
      width: cycle ? cycleWidth : 2.4, 'line-color': hue, 'target-arrow-color': hue, 'arrow-scale': cycle ? 1 : 0.6, 'z-index': cycle ? 4 : 2 } },
  ];
}

/** A cycle can be seen however small the drawing is: never thinner than some pixels of the screen. `marks.js` keeps it so. */
function cycleWidth(edge) {
  return Math.max(5, CYCLE_PIXELS / edge.cy().zoom());
}

function named({ area, fill, line }) {
  return { area, fill, stroke: line };
}

/** Moves a box's title from the middle of its upper edge, where edges enter, to the left. */
function titleShift(box) {
  return 6 + 3.3 * box.data('label').length - box.data('w') / 2;
}

function rgb(colour) {
  const context = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data.slice(0, 3)];
}

function mix(over, under, share) {
  return css(over.map((value, index) => Math.round(value * share + under[index] * (1 - share))));
}

function css([r, g, b]) {
  return `rgb(${r}, ${g}, ${b})`;
}

function luminance([r, g, b]) {
  return (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255;
}
