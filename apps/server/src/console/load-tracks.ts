import { NOT_KNOWN, ofCell, toCell } from '@kahuna/console/heat-scale';

/** Width of a column in seconds, and how many of each are kept: one hour, twelve hours (console §5.9). */
export const LOAD_STEPS = { 10: 360, 60: 720 } as const;
export type LoadStep = keyof typeof LOAD_STEPS;
const FINE = 10;
const COARSE = 60;
/** Tracks of one node, at most: with a kilobyte each what is kept stays within 4 MiB. */
const MAX_TRACKS = 4_000;
/** Tracks whose newest columns go into one answer: of more than these, each answer goes on where the one before ended. */
export const RECENTS_AT_ONCE = 480;
/** Newest columns that are told: a minute and the column that just ended, so that answers may get lost and take turns. */
const RECENT = 7;
/** A clock may be off by so many columns of ten seconds; beyond that it was set, and columns of before are in nobody's past. */
export const MAX_OFF = 6;

/** One measured thing over time: a ring of cells for each step. Columns are numbered from the epoch. */
type Track = Readonly<Record<LoadStep, Uint8Array>>;

/** Rate of every cell: those of a thousand partitions are looked up, not computed. */
const RATES = Float64Array.from({ length: 256 }, (_, cell) => ofCell(cell) ?? 0);

/** As it goes from node to node. */
export interface SentTracks {
  /** Newest column of ten seconds. */
  readonly last: number;
  /** By the name of the track: cells up to `last`, as base64. The whole hour of those that `coarse` names, the newest of the others. */
  readonly fine: Readonly<Record<string, string>>;
  /** Likewise of minutes, up to the last whole one; absent: nobody's past is sent this time. */
  readonly coarse?: Readonly<Record<string, string>>;
}

/**
 * Loads over time of one node. Always kept, so that the past is there when somebody looks (console §4.1); a cell takes a byte, and
 * what was not measured is not known.
 */
export class LoadTracks {
  private readonly tracks = new Map<string, Track>();
  /** Newest column of ten seconds; 0: none. */
  last = 0;
  /** Grows with every change. */
  version = 0;

  /** The next column, of ten seconds: what is not among `values` is not known in it. */
  append(column: number, values: ReadonlyMap<string, number | null>): void {
    if (column <= this.last) return;
    this.advance(column);
    for (const [name, value] of values) this.put(name, column, toCell(value));
    this.closeMinute(column, this.tracks.keys());
  }

  has(name: string): boolean {
    return this.tracks.has(name);
  }

  /** Forgets all columns. */
  clear(): void {
    this.tracks.clear();
    this.last = 0;
    this.version++;
  }

  /** Cell of a column of the step; not known where there is none. */
  cell(name: string, step: LoadStep, column: number): number {
    const newest = this.newest(step);
    if (column > newest || column <= newest - LOAD_STEPS[step]) return NOT_KNOWN;
    return this.tracks.get(name)?.[step][column % LOAD_STEPS[step]] ?? NOT_KNOWN;
  }

  /** The cells of so many columns up to `last`, oldest first. */
  cells(name: string, step: LoadStep, last: number, count: number): Uint8Array {
    const cells = new Uint8Array(count).fill(NOT_KNOWN);
    const ring = this.tracks.get(name)?.[step];
    if (ring === undefined) return cells;
    const newest = this.newest(step);
    const from = Math.max(last - count + 1, newest - ring.length + 1, 0);
    const to = Math.min(last, newest) + 1;
    if (from >= to) return cells;
    // What lies behind one another in time are at most two pieces of the ring: copied whole, a thousand tracks cost little.
    const at = from % ring.length;
    const head = ring.subarray(at, Math.min(ring.length, at + to - from));
    cells.set(head, from - (last - count + 1));
    cells.set(ring.subarray(0, to - from - head.length), from - (last - count + 1) + head.length);
    return cells;
  }

  /** Sum of the rates of all columns that are kept. */
  sum(name: string, step: LoadStep): number {
    const ring = this.tracks.get(name)?.[step];
    let sum = 0;
    if (ring !== undefined) for (let i = 0; i < ring.length; i++) sum += RATES[ring[i] as number] as number;
    return sum;
  }

  /** Newest column of the step that is whole. */
  newest(step: LoadStep): number {
    return step === FINE ? this.last : Math.floor((this.last + 1) / (COARSE / FINE)) - 1;
  }

  get names(): Iterable<string> {
    return this.tracks.keys();
  }

  /** Tracks with anything to tell of the past, in the order in which they were first noted. */
  namesToSend(): readonly string[] {
    const says = (ring: Uint8Array): boolean => ring.some(cell => cell !== NOT_KNOWN);
    return [...this.tracks].filter(([, track]) => says(track[FINE]) || says(track[COARSE])).map(([name]) => name);
  }

  /** Tracks that were measured lately, in the order in which they were first noted. */
  recentNames(): readonly string[] {
    const isRecent = (ring: Uint8Array): boolean => {
      for (let i = 0; i < RECENT; i++) if (ring[(this.last - i) % ring.length] !== NOT_KNOWN) return true;
      return false;
    };
    return [...this.tracks].filter(([, track]) => isRecent(track[FINE])).map(([name]) => name);
  }

  /** The newest columns of the one tracks and the whole past of the others; undefined: there is nothing yet. */
  send(pastOf: readonly string[], recentOf: readonly string[]): SentTracks | undefined {
    if (this.last === 0) return undefined;
    const recent = this.pack(recentOf, FINE, RECENT);
    if (pastOf.length === 0) return { last: this.last, fine: recent };
    const fine = { ...recent, ...this.pack(pastOf, FINE, LOAD_STEPS[FINE]) };
    return { last: this.last, fine, coarse: this.pack(pastOf, COARSE, LOAD_STEPS[COARSE]) };
  }

  /** Takes over what a peer sent, be it for the second time; what is known already and not sent again stays. */
  receive({ last, fine, coarse }: SentTracks): void {
    if (!Number.isSafeInteger(last) || last <= 0) return;
    if (last < this.last - MAX_OFF) this.clear();
    if (last < this.last) return;
    this.advance(last);
    for (const [name, text] of Object.entries(fine)) this.unpack(name, FINE, last, text);
    for (const [name, text] of Object.entries(coarse ?? {})) this.unpack(name, COARSE, this.newest(COARSE), text);
    // Tracks come in turns: a minute may have ended some answers ago.
    const names = Object.keys(fine);
    for (let column = last - RECENT; column <= last; column++) this.closeMinute(column, names);
  }

  /** Of those with a known cell among so many newest columns. */
  private pack(names: readonly string[], step: LoadStep, columns: number): Record<string, string> {
    const newest = this.newest(step);
    const packed: Record<string, string> = {};
    for (const name of names) {
      const cells = Buffer.from(this.cells(name, step, newest, columns));
      const begins = cells.findIndex(cell => cell !== NOT_KNOWN);
      if (begins >= 0) packed[name] = cells.subarray(begins).toString('base64');
    }
    return packed;
  }

  private unpack(name: string, step: LoadStep, newest: number, text: string): void {
    const cells = Buffer.from(text, 'base64').subarray(-LOAD_STEPS[step]);
    cells.forEach((cell, i) => {
      this.put(name, newest - cells.length + 1 + i, cell, step);
    });
  }

  private put(name: string, column: number, cell: number, step: LoadStep = FINE): void {
    let track = this.tracks.get(name);
    if (track === undefined) {
      if (this.tracks.size >= MAX_TRACKS) return;
      track = {
        [FINE]: new Uint8Array(LOAD_STEPS[FINE]).fill(NOT_KNOWN),
        [COARSE]: new Uint8Array(LOAD_STEPS[COARSE]).fill(NOT_KNOWN),
      };
      this.tracks.set(name, track);
    }
    const slot = column % LOAD_STEPS[step];
    if (track[step][slot] === cell) return;
    track[step][slot] = cell;
    this.version++;
  }

  /** Columns that were skipped are not known, and the ring shows no old ones in their place. */
  private advance(column: number): void {
    if (column === this.last) return;
    this.version++;
    const minutes = this.newest(COARSE);
    const skipped = Math.min(column - this.last, LOAD_STEPS[FINE]);
    for (const track of this.tracks.values()) {
      for (let i = 0; i < skipped; i++) track[FINE][(column - i) % LOAD_STEPS[FINE]] = NOT_KNOWN;
    }
    this.last = column;
    const passed = Math.min(this.newest(COARSE) - minutes, LOAD_STEPS[COARSE]);
    for (const track of this.tracks.values()) {
      for (let i = 0; i < passed; i++) track[COARSE][(this.newest(COARSE) - i) % LOAD_STEPS[COARSE]] = NOT_KNOWN;
    }
  }

  /** The minute that ends with this column: the mean of what is known of it. */
  private closeMinute(column: number, names: Iterable<string>): void {
    const inMinute = COARSE / FINE;
    if ((column + 1) % inMinute !== 0) return;
    const minute = (column + 1) / inMinute - 1;
    const slot = minute % LOAD_STEPS[COARSE];
    for (const name of names) {
      const track = this.tracks.get(name);
      if (track === undefined || track[COARSE][slot] !== NOT_KNOWN) continue;
      const known: number[] = [];
      for (let i = 0; i < inMinute; i++) {
        const rate = ofCell(this.cell(name, FINE, column - i));
        if (rate !== null) known.push(rate);
      }
      if (known.length > 0) track[COARSE][slot] = toCell(known.reduce((a, b) => a + b, 0) / known.length);
    }
  }
}
