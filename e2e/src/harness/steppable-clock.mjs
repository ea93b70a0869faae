// Loaded into a server by NODE_OPTIONS: each SIGUSR2 puts its wall clock ahead by so much. Milliseconds.
const STEP_MS = 300;

const realNow = Date.now;
let aheadMs = 0;
Date.now = () => realNow() + aheadMs;
process.on('SIGUSR2', () => {
  aheadMs += STEP_MS;
});
