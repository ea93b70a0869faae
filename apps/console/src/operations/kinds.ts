import type { OperationKind, Outcome } from '../protocol/messages.ts';
import type { Tone } from '../ui/marks.tsx';

export const OPERATION_TITLE: Readonly<Record<OperationKind, string>> = {
  'set-key': 'Write key',
  'delete-key': 'Delete key',
  'delete-prefix': 'Delete all keys that begin with',
  'extend-key': 'Change the lifetime of key',
  'release-lock': 'Release lock',
  'transfer-leader': 'Transfer the leader of',
  'rebalance-leaders': 'Rebalance leaders of',
  'create-sequence': 'Create sequence',
  'update-sequence': 'Update sequence',
  'reserve-sequence': 'Reserve values of sequence',
  'delete-sequence': 'Delete sequence',
};

export const OUTCOME_TONE: Readonly<Record<Outcome, Tone>> = {
  done: 'good',
  refused: 'warning',
  failed: 'critical',
  unknown: 'unknown',
  cancelled: 'info',
};
