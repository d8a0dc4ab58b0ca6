// Runs one function over many inputs: node examples/map.mjs [HOW_MANY]
//
// Shows the three things that such a program needs: not to run ahead of the pool (`ready`), to know which
// input an error belongs to, and to see where the tasks ran.
import { connect, TaskError } from 'potluck';

const howMany = Number(process.argv[2] ?? 1000);
const program = `
def main(n):
    if n == 13:
        raise ValueError("this one always fails")
    return n * n
`;

const pool = await connect();
const tasks = [];
for (let n = 0; n < howMany; n += 1) {
  await pool.ready();
  tasks.push(pool.submit({ language: 'python', program, args: [n] }));
}

let sum = 0;
for (const [n, task] of tasks.entries()) {
  try {
    sum += await task;
  } catch (error) {
    if (!(error instanceof TaskError)) throw error;
    console.log(`input ${n}: ${error.message}`);
  }
}
console.log(`the squares below ${howMany} add up to ${sum}`);

const outcomes = await Promise.all(tasks.map((task) => task.outcome()));
console.log(`ran on ${new Set(outcomes.map(({ peer }) => peer)).size} peers`);
await pool.close();
