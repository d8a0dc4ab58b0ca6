import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connect } from '../../src/sdk/index.ts';
import type { Listener } from '../../src/wire/tls-connection.ts';
import { Counterpart } from './counterpart.ts';

let folder: string;
let home: Counterpart;
let door: Listener;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'potluck-connect-'));
  home = new Counterpart();
  door = await home.listen(folder);
});
afterEach(async () => {
  home.drop();
  await door.close();
  rmSync(folder, { recursive: true });
});

describe('over TLS', () => {
  it('a task goes through, and thousands in flight do', async () => {
    home.onSubmit = ({ id, args }) => home.done(id, Buffer.from(args as Uint8Array).toString());
    const pool = await connect({ port: door.port, home: folder });
    const tasks = Array.from({ length: 10_000 }, (_, index) => pool.submit<number[]>({ language: 'python', program: 'x', args: [index] }));
    const results = await Promise.all(tasks);
    expect(results.map(([index]) => index)).toEqual(results.map((_, index) => index));
    await pool.close();
  });

  it('a home that is started again on its port is found again', async () => {
    const links: boolean[] = [];
    const pool = await connect({ port: door.port, home: folder, onLink: ({ up }) => links.push(up) });
    const task = pool.submit({ language: 'python', program: 'x' });
    await task.accepted;
    home.onWatch = ({ id }) => home.done(id, '"again"');
    const { port } = door;
    await door.close();
    home.drop();
    door = await home.listen(folder, port);
    expect(await task).toBe('again');
    expect(links).toEqual([true, false, true]);
    await pool.close();
  });

  it('a stranger gets nothing', async () => {
    const other = mkdtempSync(join(tmpdir(), 'potluck-other-'));
    await expect(connect({ port: door.port, home: other })).rejects.toMatchObject({ code: expect.stringMatching(/not_a_member|link_lost/) as string });
    expect(home.received).toEqual([]);
    rmSync(other, { recursive: true });
  });
});

describe('where no home is', () => {
  it('the first dial fails at once', async () => {
    const { port } = door;
    await door.close();
    await expect(connect({ port, home: folder })).rejects.toMatchObject({ code: 'peer_unreachable' });
  });

  it('a program that does not speak TLS is no peer', async () => {
    const server = createServer((socket) => socket.resume().end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    await expect(connect({ port: (server.address() as { port: number }).port, home: folder })).rejects.toMatchObject({ code: 'peer_unreachable' });
    await new Promise((resolve) => server.close(resolve));
  });
});
