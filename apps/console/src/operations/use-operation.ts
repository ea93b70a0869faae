import { useFeed, useRow } from '../live/use-live.ts';
import type { OperationReport } from '../protocol/messages.ts';

/** The newest account of an operation: what the node tells live, and until it tells anything what is at hand. */
export function useOperation(report: OperationReport): OperationReport {
  return useRow(useFeed('operations'), report.operationId) ?? report;
}
