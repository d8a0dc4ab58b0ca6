/**
 * Faults to plant in the production code, one at a time: each must be found by the simulator. What is replaced
 * must stand exactly once in its file, so that a fault does not get lost when the code changes.
 *
 * `seed` is one that finds it; the short form of the suite tries only that one.
 */
export const planted = [
  {
    name: 'answers are given before the flush',
    file: 'src/lib/driver.ts',
    from: 'if (!this.#failed && (this.#appended > this.#durable || this.#held.length > 0)) this.#held.push(',
    to: 'if (this.#appended < 0) this.#held.push(',
  },
  {
    name: 'the journal is written and not synced',
    file: 'src/store/log.ts',
    from: 'await file.sync();\n    segment.bytes += bytes.length;',
    to: 'segment.bytes += bytes.length;',
  },
  {
    name: 'the grace of a closed link runs by the wall clock',
    file: 'src/home/runners-state.ts',
    from: 'runner.lostAt ??= nowMs + limits.linkGraceMs;',
    to: 'runner.lostAt ??= Date.now() + limits.linkGraceMs;',
  },
  {
    name: 'a stale result is recorded',
    file: 'src/home/task-state.ts',
    from: 'current.attempt === ref.attempt && current.key === ref.key && current.peer === peer',
    to: 'true',
  },
  {
    name: 'a slot is not given back when its attempt ends',
    file: 'src/home/home-state.ts',
    from: 'this.#table.release(runner, end.key, this.#now.ms);',
    to: '',
  },
  {
    name: 'a task that may run once runs again after a loss',
    file: 'src/home/home-state.ts',
    from: "if (task.accepted.options.once === true) return this.#finish(task, 'unknown', { error: unknownFate(task, reason) });",
    to: '',
  },
  {
    name: 'a task that may run once is retried after a failure',
    file: 'src/home/home-state.ts',
    from: '< (task.accepted.options.retries ?? 0) && task.accepted.options.once !== true)',
    to: '< (task.accepted.options.retries ?? 0))',
  },
  {
    name: 'a task that may run once is sent before its assignment is on disk',
    file: 'src/home/home-state.ts',
    from: "if (task.accepted.options.once === true) this.#out.after.push({ to: 'runner', peer: runner.peer, message });",
    to: "if (task.accepted.options.once === true) this.#out.send.push({ to: 'runner', peer: runner.peer, message });",
  },
  {
    name: 'what a cancelled task runs goes on',
    file: 'src/home/home-state.ts',
    from: "this.#kill(task, 'cancelled');\n    this.#finish(",
    to: 'this.#finish(',
  },
  {
    name: 'another task is accepted under an id that is taken',
    file: 'src/home/home-state.ts',
    from: 'if (digestOf(known) !== submission.digest || ',
    to: 'if (',
  },
  {
    name: 'a runner runs one more than its slots',
    file: 'src/runner/runner-state.ts',
    from: 'queue.length > 0 && this.#running < this.slots',
    to: 'queue.length > 0 && this.#running <= this.slots',
  },
  {
    name: 'a timeout is not noticed',
    file: 'src/runner/runner-state.ts',
    from: 'timeoutMs !== undefined && ms >= attempt.startedAt + timeoutMs && !this.#isStarting(attempt)',
    to: 'timeoutMs !== undefined && ms < 0',
  },
  {
    name: 'a result is not told again on a new link',
    file: 'src/runner/homes-state.ts',
    from: 'owed.add(key);',
    to: '',
  },
  {
    name: 'output is not told again on a new link',
    file: 'src/runner/homes-state.ts',
    from: 'attempt.output.again();',
    to: '',
  },
  {
    name: 'a compaction forgets what waits',
    file: 'src/home/compacting-state.ts',
    from: 'else steps.push({ record: restate(task, now) });',
    to: '',
  },
  {
    name: 'the tracker gives the same slot to two homes',
    file: 'src/tracker/allotment-state.ts',
    from: 'return member.info.slots - (this.reserved.get(member.info.peer) ?? 0);',
    to: 'return member.info.slots;',
  },
  {
    name: 'the slot of a worker that has to end is given away before it is gone',
    file: 'src/runner/runner-state.ts',
    from: 'this.#advance(worker);\n    if (leftovers || worker.fresh) this.#retire(worker, worker.jobs.length > 0);',
    to: 'if (leftovers || worker.fresh) this.#retire(worker, worker.jobs.length > 0);\n    this.#advance(worker);',
  },
  {
    name: 'what a runner no longer has is not missed',
    file: 'src/home/home-state.ts',
    from: "this.#lose(runner, (task) => !listed.has(currentAttempt(task)?.key ?? ''), reason, !sameProcess);",
    to: '',
  },
  {
    name: 'a damaged journal is opened',
    file: 'src/store/log.ts',
    from: 'if (end.bad !== undefined && !(last && end.bad.torn))',
    to: 'if (end.bad !== undefined && !last)',
  },
  {
    name: 'a wait that is over is not ended',
    file: 'src/home/home-state.ts',
    from: 'task.attempts.length === 0 && this.#now.ms >= task.accepted.at + waitMs',
    to: 'task.attempts.length === 0 && this.#now.ms < 0',
  },
  {
    name: 'silence of a link is not noticed',
    file: 'src/wire/connection.ts',
    from: 'performance.now() - connection.lastHeardAt() > limits.silenceMs',
    to: 'performance.now() < 0',
  },
  {
    name: 'a worker serves one member after another',
    file: 'src/runner/workers-state.ts',
    from: 'worker.submitter === message.submitter &&',
    to: '',
  },
  {
    name: 'the link of who is a member no more stays',
    file: 'src/wire/connection.ts',
    from: 'if (problem !== undefined) this.#expel(problem);',
    to: '',
  },
  {
    name: 'tasks of others run where only own ones are taken',
    file: 'src/identity/acceptance.ts',
    from: "if (accept !== 'members') return { accepts: accept, withheld: 'owner' };",
    to: '',
  },
];
