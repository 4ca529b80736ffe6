// Returns every text that is too faint on what is behind it: its contrast, and the text.
const numbers = (color) => color.match(/[\d.]+/g).map(Number);
const linear = (part) => (part /= 255) <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
const light = ([red, green, blue]) => 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
const ground = (place) => {
  for (let each = place; each; each = each.parentElement) {
    const color = numbers(getComputedStyle(each).backgroundColor);
    if (color.length === 3 || color[3] > 0) return color;
  }
  return [255, 255, 255];
};
const contrast = (one, two) => (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
const found = [];
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
  const place = texts.currentNode.parentElement;
  if (!texts.currentNode.data.trim() || !place.checkVisibility() || place.closest("script, noscript, .unseen")) continue;
  const style = getComputedStyle(place);
  const got = contrast(light(numbers(place.closest("svg") ? style.fill : style.color)), light(ground(place)));
  if (got < 4.5) found.push(`${got.toFixed(2)} ${texts.currentNode.data.trim()}`);
}
return found;
