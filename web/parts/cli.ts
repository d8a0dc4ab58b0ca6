/** The command line that does the same. */
export interface Call {
  program: string;
  language: string;
  function: string;
  args: string;
  kwargs: string;
  options: Readonly<Record<string, unknown>>;
}

const quoted = (text: string): string => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

export function commandLine({ program, language, function: name, args, kwargs, options }: Call, port: number): string {
  const flags: string[] = [];
  if (port !== 9000) flags.push(`--port ${port}`);
  if (language !== 'python') flags.push(`--language ${language}`);
  flags.push(`--program ${quoted(program)}`);
  if (name !== 'main') flags.push(`--function ${quoted(name)}`);
  if (args.trim() !== '' && args.trim() !== '[]') flags.push(`--args ${quoted(args)}`);
  if (kwargs.trim() !== '') flags.push(`--kwargs ${quoted(kwargs)}`);
  const { timeoutMs, waitMs, retries, priority, memoryMb, confidential, once, fresh } = options;
  const given: [string, unknown][] = [
    ['--timeout', seconds(timeoutMs)],
    ['--wait', seconds(waitMs)],
    ['--retries', retries],
    ['--priority', priority],
    ['--memory', memoryMb],
  ];
  for (const [flag, value] of given) if (value !== undefined) flags.push(`${flag} ${String(value)}`);
  for (const [flag, on] of [['--confidential', confidential], ['--once', once], ['--fresh', fresh]] as const) if (on === true) flags.push(flag);
  return `potluck cpu ${flags.join(' ')}`;
}

const seconds = (ms: unknown): number | undefined => (typeof ms === 'number' ? ms / 1000 : undefined);
