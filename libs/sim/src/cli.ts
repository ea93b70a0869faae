import { runSeed } from './run.ts';

const seed = Number(process.argv[2] ?? 1);
const n = Number(process.argv[3] ?? 1);
for (let s = seed; s < seed + n; s++) {
  const t = performance.now();
  const r = runSeed(s, process.argv[4] === 'trace' ? l => console.log(l) : undefined);
  console.log(s, r.failure ?? 'ok', Math.round(performance.now() - t), JSON.stringify({ ...r, failure: undefined }));
}
