/** One box that leads to any task, by its id or the beginning of it. */
import { useState } from 'preact/hooks';
import { listTasks } from '../api.ts';
import { go } from '../router.ts';

export function Jump() {
  const [text, setText] = useState('');
  const jump = async (event: Event) => {
    event.preventDefault();
    const wanted = text.trim();
    if (wanted === '') return;
    const { rows } = await listTasks(new URLSearchParams({ text: wanted, limit: '2' })).catch(() => ({ rows: [] }));
    const [only, more] = rows;
    if (only !== undefined && (only.id === wanted || (more === undefined && only.id.startsWith(wanted)))) go(['tasks', only.id]);
    else go(['tasks'], new URLSearchParams({ text: wanted }));
    setText('');
  };
  return (
    <form class="jump" role="search" onSubmit={(event) => void jump(event)}>
      <input id="jump" type="search" aria-label="Find a task by its id, function or error" placeholder="id, function, error   /" maxLength={200} value={text} onInput={(event) => setText(event.currentTarget.value)} spellcheck={false} autocomplete="off" />
    </form>
  );
}
