import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

/** Just what we read of a compiled descriptor set, as the compiler prints it in JSON. */
interface FieldDescriptor {
  readonly name: string;
  readonly number: number;
  readonly label: string;
  readonly type: string;
  readonly typeName?: string;
  readonly oneofIndex?: number;
  readonly proto3Optional?: boolean;
}
interface FileDescriptor {
  readonly name: string;
  readonly package?: string;
  readonly syntax: string;
  readonly dependency?: readonly string[];
  readonly messageType?: readonly {
    readonly name: string;
    readonly field?: readonly FieldDescriptor[];
    readonly oneofDecl?: readonly { readonly name: string }[];
  }[];
  readonly enumType?: readonly {
    readonly name: string;
    readonly value: readonly { readonly name: string; readonly number?: number }[];
  }[];
  readonly service?: readonly {
    readonly name: string;
    readonly method: readonly {
      readonly name: string;
      readonly inputType: string;
      readonly outputType: string;
      readonly clientStreaming?: boolean;
      readonly serverStreaming?: boolean;
    }[];
  }[];
}

const root = fileURLToPath(new URL('../../..', import.meta.url));
const FILES = ['routing', 'keyvalues', 'locks', 'sequences', 'cluster', 'backups'];

/** One compiler run per file: two of them cannot share a pool. */
function compile(file: string): readonly FileDescriptor[] {
  const compiler = `${root}/node_modules/@bufbuild/buf/bin/buf`;
  const args = [compiler, 'build', 'proto', '--path', `proto/${file}.proto`, '-o', '-#format=json'];
  return JSON.parse(execFileSync(process.execPath, args, { cwd: root, encoding: 'utf8' })).file;
}

const bare = (typeName: string): string => typeName.replace(/^\./, '');

function fieldRow(field: FieldDescriptor, oneofs: readonly { readonly name: string }[]): string {
  const type = field.typeName === undefined ? field.type.replace('TYPE_', '').toLowerCase() : bare(field.typeName);
  const oneof = field.oneofIndex === undefined ? undefined : oneofs[field.oneofIndex]?.name;
  const label =
    field.label === 'LABEL_REPEATED'
      ? ' repeated'
      : field.proto3Optional
        ? ' optional'
        : oneof === undefined
          ? ''
          : ` oneof ${oneof}`;
  return `  ${field.number} ${field.name} ${type}${label}`;
}

/** A descriptor in the notation of `contract-tables.txt`: the lines under each heading. */
function tablesOf(files: readonly FileDescriptor[]): Map<string, readonly string[]> {
  const tables = new Map<string, readonly string[]>();
  for (const file of files) {
    for (const service of file.service ?? []) {
      const rows = service.method.map(method => {
        const streaming = method.clientStreaming ? 'bidirectional' : method.serverStreaming ? 'server' : 'unary';
        return `  ${method.name} ${bare(method.inputType)} ${bare(method.outputType)} ${streaming}`;
      });
      tables.set(`service ${service.name}`, rows);
    }
    for (const message of file.messageType ?? []) {
      tables.set(
        `message ${message.name}`,
        (message.field ?? []).map(field => fieldRow(field, message.oneofDecl ?? [])),
      );
    }
    for (const type of file.enumType ?? []) {
      tables.set(
        `enum ${type.name}`,
        type.value.map(value => `  ${value.number ?? 0} ${value.name}`),
      );
    }
  }
  return tables;
}

function contractTables(): Map<string, string[]> {
  const tables = new Map<string, string[]>();
  let rows: string[] = [];
  for (const line of readFileSync(new URL('contract-tables.txt', import.meta.url), 'utf8').split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    if (line.startsWith('  ')) rows.push(line);
    else {
      rows = [];
      tables.set(line, rows);
    }
  }
  return tables;
}

test('grpc:1 the descriptors of our files say what the tables of the contract say', () => {
  const compiled = FILES.flatMap(compile);
  const ours = tablesOf(compiled);
  const contract = contractTables();
  expect([...ours.keys()].sort()).toEqual([...contract.keys()].sort());
  for (const [heading, rows] of contract) expect(ours.get(heading), heading).toEqual(rows);
  // A change of the data file by accident must not pass unnoticed either.
  const count = (kind: string): number => [...contract.keys()].filter(heading => heading.startsWith(kind)).length;
  expect({ services: count('service'), messages: count('message'), enums: count('enum') }).toEqual({
    services: 5,
    messages: 159,
    enums: 20,
  });
});

test('grpc:1 proto3, no package, and imports of nothing but the routing file', () => {
  for (const name of FILES) {
    const file = compile(name).find(candidate => candidate.name === `${name}.proto`);
    expect(file?.syntax).toBe('proto3');
    expect(file?.package).toBeUndefined();
    const imports = ['keyvalues', 'locks', 'sequences', 'cluster'].includes(name) ? ['routing.proto'] : undefined;
    expect(file?.dependency).toEqual(imports);
  }
});
