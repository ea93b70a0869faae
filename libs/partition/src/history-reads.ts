import { compareHlc, unreachable } from '@kahuna/base';
import { asOfAnswer, miss, readVersion, result } from './evaluate.ts';
import type { KeyRecord } from './head-cache.ts';
import { searchHistory } from './history-search.ts';
import { type GetOperation, type OperationResult, ResponseType } from './operation.ts';
import { type Prunings, withoutPruned } from './prunings.ts';
import type { RecordTable } from './record-table.ts';
import type { FetchedRow, ReadNeed } from './rows.ts';
import { historyKey, revisionIn } from './stored-keys.ts';
import { decodeVersion, type Version } from './version.ts';

/**
 * Reads of a key by revision or as of a time. Newer versions may hang on the record, as far as no flush has taken them; the others are
 * rows of the engine, which a read names and then gets. A row that is pruned counts as gone although the engine still has it.
 */
export class HistoryReads {
  private readonly bucket: number;
  private readonly records: RecordTable;
  private readonly prunings: Prunings;

  constructor(bucket: number, records: RecordTable, prunings: Prunings) {
    this.bucket = bucket;
    this.records = records;
    this.prunings = prunings;
  }

  atRevision(record: KeyRecord, operation: GetOperation, fetched: readonly FetchedRow[] | undefined): OperationResult | ReadNeed {
    const { revision } = operation;
    const head = record.current;
    if (head === undefined || revision > head.revision) return miss(revision);
    let version: Version | undefined = head;
    while (version !== undefined && version.revision > revision) version = version.older;
    if (version !== undefined) return readVersion(operation, version, version !== head);
    if (revision < this.prunings.below(record.key)) return miss(revision);
    const key = historyKey(this.records.writer(), this.bucket, record.key, revision);
    const row = fetched?.find(candidate => revisionIn(candidate.key) === revision);
    if (row === undefined) return { kind: 'rows', keys: [key] };
    return row.value === undefined ? miss(revision) : readVersion(operation, decodeVersion(row.value), true);
  }

  asOf(record: KeyRecord, operation: GetOperation, fetched: readonly FetchedRow[] | undefined): OperationResult | ReadNeed {
    const t = operation.readTimestamp;
    const head = record.current;
    if (head === undefined) return miss(-1);
    let version: Version = head;
    while (compareHlc(version.commit, t) > 0) {
      if (version.older === undefined) return this.searchEngine(record, version.revision, operation, fetched);
      version = version.older;
    }
    return asOfAnswer(operation, version, version !== head);
  }

  private searchEngine(
    record: KeyRecord,
    below: number,
    operation: GetOperation,
    fetched: readonly FetchedRow[] | undefined,
  ): OperationResult | ReadNeed {
    const rows = withoutPruned(fetched ?? [], this.prunings.below(record.key), revisionIn);
    const step = searchHistory(operation.readTimestamp, below, rows, revisionIn);
    switch (step.kind) {
      case 'found':
        return asOfAnswer(operation, step.version, true);
      case 'none':
        return miss(-1);
      case 'pruned':
        return result(ResponseType.Aborted, 0);
      case 'probe': {
        const writer = this.records.writer();
        return { kind: 'rows', keys: step.revisions.map(revision => historyKey(writer, this.bucket, record.key, revision)) };
      }
      default:
        return unreachable(step, 'search step');
    }
  }
}
