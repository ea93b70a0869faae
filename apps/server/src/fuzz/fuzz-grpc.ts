import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Client, credentials, status } from '@grpc/grpc-js';
import {
  type AnyDefinition,
  loadSync,
  type MessageTypeDefinition,
  type MethodDefinition,
  type ServiceDefinition,
} from '@grpc/proto-loader';
import type { Rng } from '@kahuna/base';
import { hostileBytes, hostileInteger, hostileText, mutated } from './hostile-values.ts';

const PROTO_FOLDER = fileURLToPath(new URL('../../../../proto', import.meta.url));
const CALL_LIMIT_MS = 40_000;
/** A watch that was taken has no end of its own: it is hung up after so long. */
const WATCH_MS = 100;
const MAX_DEPTH = 4;
const MAX_STREAM_MESSAGES = 20;

/** Statuses that a request may end with, whatever is in it (grpc §1.3); anything else is a fault of the server. */
const UNARY_STATUSES: readonly number[] = [status.OK, status.INVALID_ARGUMENT, status.UNIMPLEMENTED, status.RESOURCE_EXHAUSTED];
const BATCH_STATUSES: readonly number[] = [status.OK, status.UNAVAILABLE];
/** Of a stream of watches: bytes that are no message, or ids that do not grow, leave nothing to answer to. */
const WATCHES_STATUSES: readonly number[] = [status.OK, status.INVALID_ARGUMENT];

/** First: a walk over a range that cannot go on, in a session that is not known for one (grpc §7.2). */
const REFUSALS: Readonly<Record<string, number>> = {
  '/KeyValuer/GetByRangeStream': status.INTERNAL,
  // History that is gone.
  '/Watcher/Watch': status.OUT_OF_RANGE,
};
const BACKUPS = /^\/Backups\//;
const WATCHES = /^\/Watcher\//;

/** The parts of a descriptor that the loader hands out untyped. */
interface FieldDescriptor {
  readonly name: string;
  readonly type: string;
  readonly label: string;
  readonly typeName: string;
}
interface Method {
  readonly definition: MethodDefinition<object, object>;
  readonly fields: readonly FieldDescriptor[];
}

/** Calls every declared method with requests that are well-formed and odd, or broken. */
export class GrpcFuzzer {
  private readonly client: Client;
  private readonly rng: Rng;
  private readonly methods: readonly Method[];
  private readonly messages = new Map<string, readonly FieldDescriptor[]>();
  calls = 0;

  constructor(address: string, rng: Rng) {
    this.client = new Client(address, credentials.createInsecure(), { 'grpc.max_receive_message_length': -1 });
    this.rng = rng;
    this.methods = this.load();
  }

  private load(): Method[] {
    const methods: Method[] = [];
    for (const file of readdirSync(PROTO_FOLDER)) {
      const definition = loadSync(`${PROTO_FOLDER}/${file}`, {
        keepCase: true,
        includeDirs: [PROTO_FOLDER],
        longs: String,
        enums: Number,
      });
      for (const [name, entry] of Object.entries(definition)) {
        if (entry.format === 'Protocol Buffer 3 DescriptorProto') {
          this.messages.set(name, fieldsOf(entry as MessageTypeDefinition<object, object>));
        } else if (isService(entry)) {
          for (const method of Object.values(entry)) methods.push({ definition: method, fields: fieldsOf(method.requestType) });
        }
      }
    }
    return methods;
  }

  close(): void {
    this.client.close();
  }

  /** One call; rejects with what the server did wrong. */
  async once(): Promise<void> {
    const { rng } = this;
    const method = rng.pick(this.methods);
    this.calls += 1;
    if (method.definition.requestStream) return this.stream(method);
    const bytes = this.request(method);
    const { path } = method.definition;
    const code = method.definition.responseStream ? await this.collect(path, bytes) : await this.unary(path, bytes);
    if (!UNARY_STATUSES.includes(code) && code !== (BACKUPS.test(path) ? status.UNAVAILABLE : REFUSALS[path]))
      throw wrong(path, code, bytes);
  }

  private request(method: Method): Buffer {
    const bytes = method.definition.requestSerialize(this.message(method.fields, 0));
    return this.rng.chance(0.4) ? mutated(this.rng, bytes) : bytes;
  }

  private message(fields: readonly FieldDescriptor[], depth: number): object {
    const filled = fields.filter(() => this.rng.chance(depth === 0 ? 0.7 : 0.4));
    return Object.fromEntries(
      filled.map(field => {
        if (field.label !== 'LABEL_REPEATED') return [field.name, this.value(field, depth)];
        return [field.name, Array.from({ length: this.rng.int(0, 5) }, () => this.value(field, depth))];
      }),
    );
  }

  private value(field: FieldDescriptor, depth: number): unknown {
    switch (field.type) {
      case 'TYPE_STRING':
        return hostileText(this.rng);
      case 'TYPE_BYTES':
        return hostileBytes(this.rng);
      case 'TYPE_BOOL':
        return this.rng.chance(0.5);
      case 'TYPE_MESSAGE': {
        const inner = this.messages.get(field.typeName.replace(/^\./, '')) ?? [];
        return depth === MAX_DEPTH ? {} : this.message(inner, depth + 1);
      }
      case 'TYPE_INT64':
      case 'TYPE_UINT64':
        return String(BigInt.asIntN(64, hostileInteger(this.rng)));
      default:
        return field.name === 'Durability' && this.rng.chance(0.8) ? 1 : Number(BigInt.asIntN(32, hostileInteger(this.rng)));
    }
  }

  private unary(path: string, bytes: Buffer): Promise<number> {
    return new Promise(resolve => {
      this.client.makeUnaryRequest(path, asIs, asIs, bytes, { deadline: Date.now() + CALL_LIMIT_MS }, error =>
        resolve(error === null ? status.OK : error.code),
      );
    });
  }

  private collect(path: string, bytes: Buffer): Promise<number> {
    return new Promise(resolve => {
      const stream = this.client.makeServerStreamRequest(path, asIs, asIs, bytes, { deadline: Date.now() + CALL_LIMIT_MS });
      stream.on('data', () => undefined);
      stream.on('error', () => undefined);
      const hangUp = WATCHES.test(path) ? setTimeout(() => stream.cancel(), WATCH_MS) : undefined;
      stream.on('status', ({ code }) => {
        clearTimeout(hangUp);
        resolve(hangUp !== undefined && code === status.CANCELLED ? status.OK : code);
      });
    });
  }

  /** Some messages, a half-close, and the end that the server gives it. */
  private stream(method: Method): Promise<void> {
    const sent: Buffer[] = [];
    const { path } = method.definition;
    const allowed = WATCHES.test(path) ? WATCHES_STATUSES : BATCH_STATUSES;
    return new Promise((resolve, reject) => {
      const stream = this.client.makeBidiStreamRequest(path, asIs, asIs, { deadline: Date.now() + CALL_LIMIT_MS });
      stream.on('data', () => undefined);
      stream.on('error', () => undefined);
      stream.on('status', ({ code }) => (allowed.includes(code) ? resolve() : reject(wrong(path, code, Buffer.concat(sent)))));
      for (let messages = this.rng.int(0, MAX_STREAM_MESSAGES); messages > 0; messages--) {
        const bytes = this.request(method);
        sent.push(bytes);
        stream.write(bytes);
      }
      stream.end();
    });
  }
}

/** Messages and enums have a format; what has none is a service. */
function isService(entry: AnyDefinition): entry is ServiceDefinition {
  return entry.format === undefined;
}

function fieldsOf(type: MessageTypeDefinition<object, object>): readonly FieldDescriptor[] {
  return (type.type as { readonly field: readonly FieldDescriptor[] }).field;
}

function asIs(bytes: Buffer): Buffer {
  return bytes;
}

function wrong(path: string, code: number, bytes: Buffer): Error {
  return new Error(`${path} ended with ${status[code]} for ${bytes.toString('hex').slice(0, 2000)}`);
}
