import { expect, it } from 'vitest';
import { hostAndPort, readHostAndPort } from '../../src/lib/hosts.ts';

it('hosts with ports are read as they are written', () => {
  for (const host of ['127.0.0.1', 'fd00::2', 'fe80::1%eth0', 'office.example', 'a-b_c']) expect(readHostAndPort(hostAndPort(host, 9000))).toEqual({ host, port: 9000 });
});

it.each(['', '9000', 'host', ':9000', 'host:', 'host:0', 'host:65536', 'host:9000x', 'fd00::2:9000', '[fd00::2]', 'a b:9000', 'a/b:9000', `${'a'.repeat(256)}:9000`])('%j is no host with a port', (text) => {
  expect(readHostAndPort(text)).toBeUndefined();
});
