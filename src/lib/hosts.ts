/** Hosts and ports as people write them. */

/** Whether a host is this machine itself, whatever its name there. */
export const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || host.startsWith('127.');

/** "127.0.0.1:9000", "[fd00::2]:9000". */
export const hostAndPort = (host: string, port: number): string => `${host.includes(':') ? `[${host}]` : host}:${port}`;
