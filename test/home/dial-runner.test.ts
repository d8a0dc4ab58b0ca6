/** Reaching a runner by the addresses that it announced. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { addressesToTry, dialRunner } from '../../src/home/dial-runner.ts';
import { openHomeFolder } from '../../src/identity/home-folder.ts';
import { reachableHosts } from '../../src/main/machine.ts';
import { listen, type Listener } from '../../src/wire/index.ts';
import { info } from '../helpers/home.ts';
import { trusting } from '../helpers/members.ts';

const here = { boot: 'b', net: 'n' };

describe('addresses to try', () => {
  const addresses = [{ host: '127.0.0.1', port: 1 }, { host: '192.0.2.1', port: 2 }, { host: '::1', port: 3 }, { host: 'fd00::1', port: 4 }];
  const ports = (machine: { boot: string; net: string }) => addressesToTry({ addresses, machine }, here).map(({ port }) => port);

  it('have loopback first on the same machine, and nowhere else: three namespaces of one machine share a boot', () => {
    expect(ports(here)).toEqual([1, 3, 2, 4]);
    expect(ports({ boot: 'b', net: 'another' })).toEqual([2, 4]);
    expect(ports({ boot: 'another', net: 'n' })).toEqual([2, 4]);
  });
});

describe('hosts of a listener', () => {
  it('are the one that was typed, or loopback and what others can use', () => {
    expect(reachableHosts('192.0.2.1')).toEqual(['192.0.2.1']);
    for (const any of ['0.0.0.0', '::']) {
      const hosts = reachableHosts(any);
      expect(hosts[0]).toBe('127.0.0.1');
      expect(hosts.filter((host) => /^(?:fe[89ab]|169\.254\.)/i.test(host))).toEqual([]);
      expect(hosts.length).toBeLessThanOrEqual(16);
    }
    expect(reachableHosts('0.0.0.0').filter((host) => host.includes(':'))).toEqual([]);
  });
});

describe('a wrong key at an address', () => {
  let root: string;
  const listeners: Listener[] = [];
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'potluck-dial-'));
  });
  afterEach(async () => {
    for (const listener of listeners.splice(0)) await listener.close();
    rmSync(root, { recursive: true });
  });

  it('means the next address, and the last one\'s error when none is right', async () => {
    const everybody = trusting(() => true);
    const open = async (name: string) => {
      const { identity } = await openHomeFolder(join(root, name));
      const listener = await listen({ host: '127.0.0.1', port: 0, identity, members: everybody, onConnection: () => {} });
      listeners.push(listener);
      return { key: identity.keyId, port: listener.port };
    };
    const [wrong, right] = [await open('wrong'), await open('right')];
    const { identity } = await openHomeFolder(join(root, 'own'));
    const of = (ports: number[]) => info('runner', { key: right.key, machine: here, addresses: ports.map((port) => ({ host: '127.0.0.1', port })) });
    const connection = await dialRunner(of([wrong.port, right.port]), here, identity, everybody);
    expect(connection.peerKey).toBe(right.key);
    connection.close();
    await expect(dialRunner(of([wrong.port]), here, identity, everybody)).rejects.toMatchObject({ code: 'not_a_member' });
  });
});
