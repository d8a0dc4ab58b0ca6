/** Which clients want to hear of which tasks. */
export class Watchers {
  readonly #byTask = new Map<string, Map<number, boolean>>();
  readonly #byClient = new Map<number, Set<string>>();
  readonly #followed = new Map<string, string>();

  /** @param follow also states and output, not the outcome alone; once following, always following */
  add(client: number, id: string, follow: boolean): void {
    const clients = this.#byTask.get(id) ?? new Map<number, boolean>();
    this.#byTask.set(id, clients);
    clients.set(client, follow || clients.get(client) === true);
    const tasks = this.#byClient.get(client) ?? new Set();
    this.#byClient.set(client, tasks.add(id));
    if (follow && !this.#followed.has(id)) this.#followed.set(id, '');
  }

  remove(client: number, id: string): void {
    const clients = this.#byTask.get(id);
    if (clients === undefined) return;
    clients.delete(client);
    this.#byClient.get(client)?.delete(id);
    if (clients.size === 0) this.#byTask.delete(id);
    if (![...clients.values()].includes(true)) this.#followed.delete(id);
  }

  gone(client: number): void {
    for (const id of this.#byClient.get(client) ?? []) this.remove(client, id);
    this.#byClient.delete(client);
  }

  /** Everybody who watches the task, who is then forgotten: there is only one outcome. */
  take(id: string): number[] {
    const clients = [...(this.#byTask.get(id)?.keys() ?? [])];
    for (const client of clients) this.remove(client, id);
    return clients;
  }

  all(id: string): number[] {
    return [...(this.#byTask.get(id)?.keys() ?? [])];
  }

  followers(id: string): number[] {
    if (!this.#followed.has(id)) return [];
    return [...(this.#byTask.get(id) ?? [])].filter(([, follow]) => follow).map(([client]) => client);
  }

  /** Tasks somebody follows, each with the last reason for waiting that was told. */
  followed(): Map<string, string> {
    return this.#followed;
  }
}
