/**
 * Order numbers: unique, growing, and the same number for the same order however often the request is repeated.
 *
 * The idempotency key is what makes a repetition recognisable, also after this program crashed between asking and writing the
 * answer down. Without one a repetition takes the next value and leaves a gap.
 */
import { Kahuna } from '@kahuna/client';

await using kahuna = new Kahuna({ endpoints: process.env['KAHUNA_URL'] ?? 'http://127.0.0.1:2070' });

const orderNumbers = kahuna.sequence('examples/order-numbers');
await orderNumbers.ensure({ initialValue: 1000n });

/** `checkoutId`: chosen when the customer pressed the button, and sent again with every repetition. */
async function numberOf(checkoutId: string): Promise<bigint> {
  return orderNumbers.next({ idempotencyKey: checkoutId });
}

const run = crypto.randomUUID();
const first = await numberOf(`${run}-checkout-1`);
const repeated = await numberOf(`${run}-checkout-1`);
const other = await numberOf(`${run}-checkout-2`);
console.log(`a repetition gets the same number: ${first === repeated}`);
console.log(`another order gets a later one: ${other > first}`);

// Many at once, for an import: one request for a run of values that nobody else gets.
const { start, end, count } = await orderNumbers.reserve(500);
console.log(`reserved ${count}: ${end - start === 499n}`);
