import type { Hlc } from '@kahuna/base';
import type { HeadCache } from './head-cache.ts';
import type { OperationResult } from './operation.ts';
import { RowTable } from './row-table.ts';
import type { ReadNeed } from './rows.ts';
import {
  evaluateSequence,
  readSequence,
  SEQUENCE_ROWS,
  type SequenceCommand,
  type SequencePolicy,
  type SequenceRecord,
} from './sequences.ts';

export interface AppliedSequence {
  readonly answer: OperationResult;
  /** The state after the command, if it changed. */
  readonly changed: SequenceRecord | undefined;
}

/** Records of the sequences of one partition. */
export class SequenceTable extends RowTable<SequenceRecord> {
  constructor(bucket: number, cache: HeadCache) {
    super(SEQUENCE_ROWS, bucket, cache);
  }

  /** Evaluates a command of the log; its row is pinned and here. */
  execute(command: SequenceCommand, stamp: Hlc, policy: SequencePolicy): AppliedSequence {
    const row = this.pinnedRow(command.key);
    const { answer, record, changed } = evaluateSequence(row.state, command, stamp, policy);
    row.used = true;
    if (!changed || record === undefined) return { answer, changed: undefined };
    this.changed(row, record);
    return { answer, changed: record };
  }

  read(name: string): OperationResult | ReadNeed {
    const row = this.look(name);
    return row.asked === undefined ? readSequence(name, row.state) : { kind: 'rows', keys: [row.asked] };
  }
}
