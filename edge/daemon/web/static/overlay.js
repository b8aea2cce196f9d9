// Boxes and labels over a picture, as SVG whose unit is one pixel of the screen: text keeps its size on a phone.

import { percent } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const UNSURE = 0.8; // below, a digit's box has another colour
const TAG_HEIGHT = 15, TAG_CHARACTER = 7.2, TAG_PAD = 3; // pixels of the screen
const LABEL_FROM = 9; // a digit's box that is lower on the screen has no label: it would be larger than the digit
const CONFIDENCE_FROM = 26; // one that is narrower has its label without the confidence
const FIELD_TAG_HEIGHT = 18, FIELD_TAG_CHARACTER = 7, FIELD_TAG_PAD = 5;

/** An SVG element. */
export function shape(tag, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value != null) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** A layer of an overlay, behind those that come later. */
export function layer(svg, name) {
  const made = shape("g", { class: `layer ${name}` });
  svg.append(made);
  return made;
}

function tagged(group, words, x, y, extent, { height, character, pad, ground, tag }) {
  const width = words.length * character + 2 * pad;
  const left = Math.max(0, Math.min(x, extent.width - width));
  const top = Math.max(0, Math.min(y, extent.height - height));
  group.append(
    shape("rect", { class: ground, x: left, y: top, width, height, rx: 3 }),
    shape("text", { class: tag, x: left + pad, y: top + height - height * 0.27 }, words),
  );
}

/**
 * Draws digits into a layer. digits: [{label, confidence, box}], boxes in pixels of the picture; scale: pixels of the
 * screen for one of them; extent: width and height of the overlay on the screen.
 */
export function drawDigits(target, digits, scale, extent) {
  const boxes = [], tags = shape("g");
  for (const { label, confidence, box } of digits) {
    const [x, y, width, height] = box.map((length) => length * scale);
    const kind = label === null ? "refused" : confidence < UNSURE ? "unsure" : "";
    const place = { x, y, width, height, rx: 2 };
    boxes.push(
      shape("rect", { class: "under", ...place }),
      shape("rect", { class: `digit-box ${kind}`, "data-label": label ?? "?", ...place }),
    );
    if (height < LABEL_FROM) continue;
    const wide = width >= CONFIDENCE_FROM;
    const words = `${label ?? "?"}${wide ? ` ${percent(confidence).replace(" %", "")}` : ""}`;
    const style = { height: TAG_HEIGHT, character: TAG_CHARACTER, pad: TAG_PAD, ground: "tag-ground", tag: "tag" };
    tagged(tags, words, x, y - TAG_HEIGHT - 1, extent, style);
  }
  target.replaceChildren(...boxes, tags);
}

/**
 * Draws one field into a group: its box and its name below it. box: x, y, width, height in pixels of the screen;
 * invalid: that what stands in it is no value.
 */
export function drawField(group, words, [x, y, width, height], extent, invalid = false) {
  const kind = invalid ? " invalid" : "";
  group.replaceChildren(shape("rect", { class: `field-box${kind}`, x, y, width, height, rx: 3 }));
  const style = {
    height: FIELD_TAG_HEIGHT,
    character: FIELD_TAG_CHARACTER,
    pad: FIELD_TAG_PAD,
    ground: `field-tag-ground${kind}`,
    tag: "field-tag",
  };
  tagged(group, words, x, y + height + 2, extent, style);
}

/** Draws the fields of a reading into a layer, as drawDigits does digits. */
export function drawFields(target, fields, scale, extent) {
  const groups = fields.map((field) => {
    const group = shape("g", { "data-name": field.name });
    const words = field.value == null ? field.name : `${field.name}  ${field.value}`;
    drawField(group, words, field.box.map((length) => length * scale), extent, !field.valid);
    return group;
  });
  target.replaceChildren(...groups);
}
