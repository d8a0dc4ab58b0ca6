/** Strings that would run something, if anything took them for more than text. */
import { Prng } from '../../src/lib/prng.ts';

const code = 'window.pwned=1';
const cores = [
  `<script>${code}</script>`,
  `<img src=x onerror="${code}">`,
  `<svg onload="${code}">`,
  `<iframe srcdoc="<script>parent.pwned=1</script>"></iframe>`,
  `<a href="javascript:${code}">x</a>`,
  `javascript:${code}`,
  `data:text/html,<script>${code}</script>`,
  `<style>*{background:url(https://evil.example)}</style>`,
  `<link rel=stylesheet href=https://evil.example/x.css>`,
  `<meta http-equiv=refresh content="0;url=https://evil.example">`,
  `<base href="https://evil.example/">`,
  `<form action="https://evil.example"><button>x</button></form>`,
  `<object data="https://evil.example/x"></object>`,
  `{{constructor.constructor('${code}')()}}`,
  `\${${code}}`,
  `\u001b]8;;javascript:${code}\u0007link\u001b]8;;\u0007`,
  `\u001b[31m<img src=x onerror=${code}>\u001b[0m`,
  `\u202e<script>${code}</script>\u202c`,
  `__proto__`,
  `constructor`,
  `</textarea><script>${code}</script>`,
  `--><script>${code}</script>`,
  `]]><script>${code}</script>`,
  `"onmouseover="${code}`,
  `' onfocus='${code}' autofocus='`,
  `<details open ontoggle="${code}">`,
  `<math><mtext><img src onerror="${code}"></mtext></math>`,
  `<template><script>${code}</script></template>`,
  `../../../../etc/passwd`,
  `%3Cscript%3E${code}%3C/script%3E`,
  `#k=${'A'.repeat(43)}`,
  `?state=<script>${code}</script>`,
];
const around = ['', ' ', '"', "'", '`', '>', '</p>', '\u0000', '\u2028', '\t', '\r', '&lt;', '\ud83d\udca5', 'é', '<!--', '<b>', '/*', '\\'];

/** That many, all different, the same each time. */
export function hostile(count: number): string[] {
  const prng = new Prng([1, 2, 3, 4]);
  const pick = (list: readonly string[]) => list[prng.below(list.length)]!;
  const strings = new Set<string>(cores);
  while (strings.size < count) strings.add(`${pick(around)}${pick(around)}${pick(cores)}${pick(around)}${strings.size % 7 === 0 ? pick(cores) : ''}`);
  return [...strings].slice(0, count);
}
