import { keyValueMessages, type ReceivedResult, type RequestedOperation, type RequestedSet } from '@kahuna/wire';
import { Call, GUARDED_WRITE, READ, type Traits, WRITE } from './call.ts';
import type { Codec } from './codecs.ts';
import type { Endpoint } from './endpoints.ts';
import {
  HistoryPrunedError,
  InvalidInputError,
  type KahunaError,
  OutcomeUnknownError,
  ProtocolError,
  ServerFaultError,
} from './errors.ts';
import type { DeleteAnswer, Entry, Existence, ExtendAnswer, Lookup, SetAnswer } from './keys-api.ts';
import type { Routes } from './routes.ts';
import { expiryOf } from './stamps.ts';
import type { Connection } from './transport.ts';

export const Type = keyValueMessages.GrpcKeyValueResponseType;
export const Flag = keyValueMessages.GrpcKeyValueFlags;

/** What a response type means that is no result of the operation. */
export function failureOf(type: number, what: string): KahunaError {
  switch (type) {
    case Type.TYPE_INVALID_INPUT:
      return new InvalidInputError(`the server refuses ${what} as invalid`);
    case Type.TYPE_ABORTED:
      return new HistoryPrunedError(`the history that ${what} needs is no longer kept`);
    case Type.TYPE_ERRORED:
      return new ServerFaultError(`the server failed at ${what}`);
    default:
      return new ProtocolError(`the server answered ${what} with type ${type}`);
  }
}

/** The answer might speak of an earlier attempt's effect as if somebody else had caused it. */
export function doubtful(what: string): OutcomeUnknownError {
  return new OutcomeUnknownError(`${what} was repeated, and what the last answer describes may be its own first attempt`);
}

/** A request on one key. */
abstract class KeyCall extends Call<ReceivedResult> {
  protected readonly operation: RequestedOperation;

  constructor(operation: RequestedOperation, traits: Traits, reject: (reason: unknown) => void) {
    super(traits, reject);
    this.operation = operation;
  }

  override transmit(connection: Connection): void {
    connection.operate(this.operation, this);
  }

  override route(routes: Routes): Endpoint | undefined {
    return routes.ofKey(this.operation.key);
  }

  override learn(result: ReceivedResult, routes: Routes, answeredBy: Endpoint): void {
    if (result.hint !== undefined) routes.hintBytes(result.hint, answeredBy);
  }

  protected override conclude(result: ReceivedResult): void {
    if (result.type === Type.TYPE_MUST_RETRY) this.refused();
    else this.settle(result);
  }

  protected abstract settle(result: ReceivedResult): void;

  protected fail(result: ReceivedResult): void {
    const { kind, key } = this.operation;
    this.reject(failureOf(result.type, `${kind} of ${JSON.stringify(key)}`));
  }

  protected rejectAsDoubtful(): void {
    this.reject(doubtful(`${this.operation.kind} of ${JSON.stringify(this.operation.key)}`));
  }
}

export class SetCall extends KeyCall {
  private readonly resolve: (answer: SetAnswer) => void;

  constructor(operation: RequestedSet, resolve: (answer: SetAnswer) => void, reject: (reason: unknown) => void) {
    super(operation, (operation.flags & Flag.SET_IF_EQUAL_TO_REVISION) === 0 ? WRITE : GUARDED_WRITE, reject);
    this.resolve = resolve;
  }

  protected override settle(result: ReceivedResult): void {
    const set = result.type === Type.TYPE_SET;
    if (!set && result.type !== Type.TYPE_NOTSET) this.fail(result);
    else if (!set && this.inDoubt) this.rejectAsDoubtful();
    else {
      this.finish();
      this.resolve({ set, revision: result.revision, lastModified: result.lastModified });
    }
  }
}

export class DeleteCall extends KeyCall {
  private readonly resolve: (answer: DeleteAnswer) => void;

  constructor(operation: RequestedOperation, resolve: (answer: DeleteAnswer) => void, reject: (reason: unknown) => void) {
    super(operation, WRITE, reject);
    this.resolve = resolve;
  }

  protected override settle(result: ReceivedResult): void {
    const deleted = result.type === Type.TYPE_DELETED;
    if (!deleted && result.type !== Type.TYPE_DOES_NOT_EXIST) this.fail(result);
    else if (!deleted && this.inDoubt) this.rejectAsDoubtful();
    else {
      this.finish();
      this.resolve({ deleted, revision: result.revision, lastModified: result.lastModified });
    }
  }
}

export class ExtendCall extends KeyCall {
  private readonly resolve: (answer: ExtendAnswer) => void;

  constructor(operation: RequestedOperation, resolve: (answer: ExtendAnswer) => void, reject: (reason: unknown) => void) {
    super(operation, WRITE, reject);
    this.resolve = resolve;
  }

  /** No doubt here: a key that does not exist now was not left extended by any attempt. */
  protected override settle(result: ReceivedResult): void {
    const extended = result.type === Type.TYPE_EXTENDED;
    if (!extended && result.type !== Type.TYPE_DOES_NOT_EXIST) {
      this.fail(result);
      return;
    }
    this.finish();
    this.resolve({ extended, revision: result.revision, lastModified: result.lastModified });
  }
}

/** Get; the value is decoded before the promise is resolved, so that what does not decode rejects. */
export class GetCall<T> extends KeyCall {
  private readonly codec: Codec<T, never>;
  private readonly resolve: (answer: Lookup<T>) => void;

  constructor(
    operation: RequestedOperation,
    codec: Codec<T, never>,
    resolve: (answer: Lookup<T>) => void,
    reject: (reason: unknown) => void,
  ) {
    super(operation, READ, reject);
    this.codec = codec;
    this.resolve = resolve;
  }

  protected override settle(result: ReceivedResult): void {
    if (result.type === Type.TYPE_DOES_NOT_EXIST) {
      this.finish();
      this.resolve({ found: false, revision: result.revision });
      return;
    }
    if (result.type !== Type.TYPE_GOT) {
      this.fail(result);
      return;
    }
    let entry: Entry<T>;
    try {
      entry = {
        key: this.operation.key,
        value: result.value === null ? null : this.codec.decode(result.value),
        revision: result.revision,
        expires: expiryOf(result.expires),
        lastModified: result.lastModified,
      };
    } catch (error) {
      this.reject(error);
      return;
    }
    this.finish();
    this.resolve({ found: true, entry });
  }
}

export class StatCall extends KeyCall {
  private readonly resolve: (answer: Existence) => void;

  constructor(operation: RequestedOperation, resolve: (answer: Existence) => void, reject: (reason: unknown) => void) {
    super(operation, READ, reject);
    this.resolve = resolve;
  }

  protected override settle(result: ReceivedResult): void {
    const exists = result.type === Type.TYPE_EXISTS;
    if (!exists && result.type !== Type.TYPE_DOES_NOT_EXIST) {
      this.fail(result);
      return;
    }
    this.finish();
    const { revision, lastModified } = result;
    this.resolve({ exists, revision, expires: expiryOf(result.expires), lastModified });
  }
}
