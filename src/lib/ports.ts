/** Ports of this machine: which are free now. */
import { createServer } from 'node:net';

/** A free port is found among this many, or something else is wrong. */
export const portsTried = 50;
const PORT_LAST = 65_535;

/** Whether a listener on that port could be opened; by the time it is, somebody else may have taken it. */
export function isFree(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** The first free port after `port`; undefined if there is none near. */
export async function nextFree(host: string, port: number): Promise<number | undefined> {
  for (let next = port + 1; next <= Math.min(PORT_LAST, port + portsTried); next += 1) {
    if (await isFree(host, next)) return next;
  }
  return undefined;
}
