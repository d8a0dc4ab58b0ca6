/** Hosts and ports as people write them. */

/** Whether a host is this machine itself, whatever its name there. */
export const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || host.startsWith('127.');

/** What `hostAndPort` writes, or undefined: `office.example:9000`, `[fd00::2]:9000`. */
export function readHostAndPort(text: string): { host: string; port: number } | undefined {
  const [, plain, bracketed, digits] = /^(?:([\w.-]+)|\[([\w.:%]+)\]):(\d{1,5})$/.exec(text) ?? [];
  const host = plain ?? bracketed;
  const port = Number(digits);
  return host !== undefined && host.length <= 255 && port >= 1 && port <= 65_535 ? { host, port } : undefined;
}

/** "127.0.0.1:9000", "[fd00::2]:9000". */
export const hostAndPort = (host: string, port: number): string => `${host.includes(':') ? `[${host}]` : host}:${port}`;
