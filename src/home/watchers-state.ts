/**
 * Which clients want to hear of which tasks.
 *
 * There is one entry for every task that waits, and nearly always one client for a task: that one is kept as a
 * number, its own and whether it follows.
 */

type Watching = number | Map<number, boolean>;

const alone = (client: number, follow: boolean): number => client * 2 + (follow ? 1 : 0);
const clientOf = (watching: number): number => watching >> 1;
const isFollower = (watching: number): boolean => (watching & 1) === 1;

export class Watchers {
  readonly #byTask = new Map<string, Watching>();
  readonly #byClient = new Map<number, Set<string>>();
  readonly #followed = new Map<string, string>();

  /** @param follow also states and output, not the outcome alone; once following, always following */
  add(client: number, id: string, follow: boolean): void {
    const watching = this.#byTask.get(id);
    if (watching === undefined) this.#byTask.set(id, alone(client, follow));
    else if (typeof watching === 'object') watching.set(client, follow || watching.get(client) === true);
    else if (clientOf(watching) === client) this.#byTask.set(id, alone(client, follow || isFollower(watching)));
    else this.#byTask.set(id, new Map([[clientOf(watching), isFollower(watching)], [client, follow]]));
    this.#tasksOf(client).add(id);
    if (follow && !this.#followed.has(id)) this.#followed.set(id, '');
  }

  remove(client: number, id: string): void {
    const watching = this.#byTask.get(id);
    if (watching === undefined) return;
    if (typeof watching === 'object') {
      watching.delete(client);
      if (watching.size === 0) this.#byTask.delete(id);
    } else {
      if (clientOf(watching) !== client) return;
      this.#byTask.delete(id);
    }
    this.#byClient.get(client)?.delete(id);
    if (this.#followed.size > 0 && this.followers(id).length === 0) this.#followed.delete(id);
  }

  gone(client: number): void {
    for (const id of this.#byClient.get(client) ?? []) this.remove(client, id);
    this.#byClient.delete(client);
  }

  /** Everybody who watches the task, who is then forgotten: there is only one outcome. */
  take(id: string): number[] {
    const clients = this.all(id);
    for (const client of clients) this.remove(client, id);
    return clients;
  }

  all(id: string): number[] {
    const watching = this.#byTask.get(id);
    if (watching === undefined) return [];
    return typeof watching === 'object' ? [...watching.keys()] : [clientOf(watching)];
  }

  followers(id: string): number[] {
    if (!this.#followed.has(id)) return [];
    const watching = this.#byTask.get(id);
    if (watching === undefined) return [];
    if (typeof watching === 'object') return [...watching].filter(([, follow]) => follow).map(([client]) => client);
    return isFollower(watching) ? [clientOf(watching)] : [];
  }

  /** Tasks somebody follows, each with the last reason for waiting that was told. */
  followed(): Map<string, string> {
    return this.#followed;
  }

  #tasksOf(client: number): Set<string> {
    let tasks = this.#byClient.get(client);
    if (tasks === undefined) this.#byClient.set(client, (tasks = new Set()));
    return tasks;
  }
}
