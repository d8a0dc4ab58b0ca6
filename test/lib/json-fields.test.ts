import fc from 'fast-check';
import { expect, it } from 'vitest';
import { fieldTexts } from '../../src/lib/json-fields.ts';

it('a long number keeps its digits, and a member its spaces', () => {
  const text = ' { "args" : [ 3544790567247868102, {"a": "}]"} ] , "f":"x\\"," ,"n": -1.50e3,"t":true }\n';
  expect([...fieldTexts(text)]).toEqual([
    ['args', '[ 3544790567247868102, {"a": "}]"} ]'],
    ['f', '"x\\","'],
    ['n', '-1.50e3'],
    ['t', 'true'],
  ]);
});

it('of two members of one name the last counts, as for JSON.parse', () => {
  expect(fieldTexts('{"a":1,"a":2}').get('a')).toBe('2');
});

it('any object: the texts parse to the members', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.nat(2), (object, indent) => {
      const text = JSON.stringify(object, undefined, indent);
      const members = [...fieldTexts(text)].map(([name, part]) => [name, JSON.parse(part) as unknown]);
      expect(members).toEqual(Object.entries(JSON.parse(text) as object));
    }),
  );
});
