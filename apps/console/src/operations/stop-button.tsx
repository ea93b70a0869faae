import { useState } from 'react';
import { useMay } from '../live/use-live.ts';
import { OPERATION_LEVEL, type OperationReport } from '../protocol/messages.ts';
import { cancel } from './api.ts';

/** Asks a running operation to stop; its end tells what was done until then. */
export function StopButton({ report }: { report: OperationReport }) {
  const may = useMay(OPERATION_LEVEL[report.kind]);
  const [failure, setFailure] = useState<string>();
  const stop = () => {
    cancel(report.operationId).then(
      () => setFailure(undefined),
      (error: unknown) => setFailure(error instanceof Error ? error.message : String(error)),
    );
  };
  return (
    <span className="nowrap">
      <button type="button" className="text-button" disabled={!may} onClick={stop}>
        Stop it
      </button>
      {failure !== undefined && <span role="alert"> {failure}</span>}
    </span>
  );
}
