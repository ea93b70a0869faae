/**
 * What one command-line option is: its type, default, range and meaning. Help, parsing, validation and the documentation page all
 * read the same table (`flags.ts`), so that they cannot disagree.
 */

/** T1–T3: release by which the option has its effect. N: accepted and checked, tunes a mechanism this server does not have. */
export type FlagTier = 'T1' | 'T2' | 'T3' | 'N';

interface FlagBase {
  readonly tier: FlagTier;
  readonly help: string;
  /** One-letter form. */
  readonly short?: string;
  /** Another spelling of the same option. */
  readonly alias?: string;
  /** Never printed: passwords and tokens. */
  readonly secret?: true;
}

export interface TextFlag extends FlagBase {
  readonly kind: 'text';
  readonly default: string;
  readonly allowed?: readonly string[];
}

export interface BooleanFlag extends FlagBase {
  readonly kind: 'boolean';
  readonly default: boolean;
}

export interface NumberFlag extends FlagBase {
  /** int: 32 bits. long: 64 bits, held as a number, so that digits beyond 2^53 are rounded; all of them are bounds of bytes or time. double: any finite number. */
  readonly kind: 'int' | 'long' | 'double';
  readonly default: number;
  /** Both inclusive. */
  readonly min?: number;
  readonly max?: number;
}

export interface TextListFlag extends FlagBase {
  readonly kind: 'texts';
  readonly default: readonly string[];
}

export interface PortListFlag extends FlagBase {
  readonly kind: 'ports';
  readonly default: readonly number[];
}

export interface UuidFlag extends FlagBase {
  readonly kind: 'uuid';
  readonly default: string;
}

export type FlagSpec = TextFlag | BooleanFlag | NumberFlag | TextListFlag | PortListFlag | UuidFlag;

/** Type of an option's value, from its row of the table. */
export type FlagValue<S extends FlagSpec> = S extends TextFlag | UuidFlag
  ? string
  : S extends BooleanFlag
    ? boolean
    : S extends NumberFlag
      ? number
      : S extends TextListFlag
        ? readonly string[]
        : readonly number[];

type TextExtra = Partial<Pick<TextFlag, 'short' | 'alias' | 'secret' | 'allowed'>>;
type NumberExtra = Partial<Pick<NumberFlag, 'short' | 'alias' | 'min' | 'max'>>;

export function text(fallback: string, tier: FlagTier, help: string, extra: TextExtra = {}): TextFlag {
  return { kind: 'text', default: fallback, tier, help, ...extra };
}

export function boolean(fallback: boolean, tier: FlagTier, help: string): BooleanFlag {
  return { kind: 'boolean', default: fallback, tier, help };
}

export function int(fallback: number, tier: FlagTier, help: string, extra: NumberExtra = {}): NumberFlag {
  return { kind: 'int', default: fallback, tier, help, ...extra };
}

export function long(fallback: number, tier: FlagTier, help: string, extra: NumberExtra = {}): NumberFlag {
  return { kind: 'long', default: fallback, tier, help, ...extra };
}

export function double(fallback: number, tier: FlagTier, help: string, extra: NumberExtra = {}): NumberFlag {
  return { kind: 'double', default: fallback, tier, help, ...extra };
}

export function texts(tier: FlagTier, help: string): TextListFlag {
  return { kind: 'texts', default: [], tier, help };
}

export function ports(
  fallback: readonly number[],
  tier: FlagTier,
  help: string,
  extra: { readonly short?: string } = {},
): PortListFlag {
  return { kind: 'ports', default: fallback, tier, help, ...extra };
}

export function uuid(tier: FlagTier, help: string): UuidFlag {
  return { kind: 'uuid', default: '', tier, help };
}
