import './operations.css';
import { Modal, TextInput } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { type ReactNode, useEffect, useRef, useState } from 'react';
import { useConnection, useMay } from '../live/use-live.ts';
import { OPERATION_LEVEL, type OperationReport, type OperationRequest } from '../protocol/messages.ts';
import { CopyButton } from '../ui/copy-button.tsx';
import { Mark } from '../ui/marks.tsx';
import { newIdempotencyKey, preflight, start } from './api.ts';
import { OUTCOME_TONE } from './kinds.ts';
import { Progress } from './operation-state.tsx';
import { StopButton } from './stop-button.tsx';
import { useOperation } from './use-operation.ts';

/** A confirmation that was not read is none. Milliseconds. */
const READ_MS = 500;
/** Pause between looks while the action is not allowed. Milliseconds. */
const LOOK_AGAIN_MS = 2000;

interface ActionDialogProps {
  readonly title: string;
  /** The word on the button that starts it. */
  readonly verb: string;
  readonly request: OperationRequest;
  readonly children?: ReactNode;
  readonly onClose: (report: OperationReport | undefined) => void;
}

/** One path for all actions: preview, confirm by risk, follow, and end in one of five words (console §7.1). */
export function ActionDialog({ title, verb, request, children, onClose }: ActionDialogProps) {
  const { welcome } = useConnection();
  const queries = useQueryClient();
  const may = useMay(OPERATION_LEVEL[request.kind]);
  const text = JSON.stringify(request);
  const look = useQuery({
    queryKey: ['preflight', text],
    queryFn: () => preflight(request),
    ...{ staleTime: 0, gcTime: 0, retry: 0 },
    // What could not be read, or stood in the way, may be otherwise in a moment.
    refetchInterval: ({ state }) => (state.status === 'error' || state.data?.allowed === false ? LOOK_AGAIN_MS : false),
  });
  const [idempotencyKey] = useState(newIdempotencyKey);
  const [phrase, setPhrase] = useState('');
  const [busy, setBusy] = useState(false);
  const [report, setReport] = useState<OperationReport>();
  const [lost, setLost] = useState<string>();
  const cancel = useRef<HTMLButtonElement>(null);
  const { data } = look;
  const read = useReadFor(data !== undefined, READ_MS);
  const confirmed = data?.risk !== 'high' || phrase === data.phrase;
  const ready = may && data?.allowed === true && confirmed && (data.risk === 'low' || read) && !busy;
  const run = async () => {
    setBusy(true);
    setLost(undefined);
    try {
      setReport(await start(request, idempotencyKey));
      await queries.invalidateQueries({ queryKey: ['history'] });
    } catch (error) {
      setLost(error instanceof Error ? error.message : String(error));
    }
    setBusy(false);
  };
  return (
    <Modal opened onClose={() => onClose(report)} title={title} size="lg" closeButtonProps={{ 'aria-label': 'Close' }}>
      <div className="action">
        {children}
        {report !== undefined ? (
          <Followed report={report} />
        ) : (
          <>
            {look.isPending && <p className="muted">Asking {welcome?.node.name ?? 'the node'} what this would do…</p>}
            {look.isError && (
              <p role="alert">
                <Mark tone="critical" /> The node did not tell what this would do: {look.error.message}.
              </p>
            )}
            {data !== undefined && (
              <>
                <ul className="checks" aria-label="Checks">
                  {data.checks.map(check => (
                    <li key={check.id} data-ok={check.ok}>
                      <Mark tone={check.ok ? 'good' : 'warning'} label={check.ok ? 'holds' : 'does not hold'} /> {check.text}
                    </li>
                  ))}
                </ul>
                <ul className="effects" aria-label="Effects">
                  {data.effects.map(effect => (
                    <li key={effect}>{effect}</li>
                  ))}
                </ul>
                {!data.allowed && (
                  <button type="button" className="text-button" onClick={() => void look.refetch()}>
                    Look again
                  </button>
                )}
                {data.allowed && data.risk === 'high' && data.phrase !== null && (
                  <TextInput
                    label={`Type ${data.phrase} to go on`}
                    value={phrase}
                    onChange={event => setPhrase(event.currentTarget.value)}
                    autoComplete="off"
                    spellCheck={false}
                  />
                )}
                <div className="same-as">
                  <CopyButton text={data.curl} label="Copy as curl" />
                  {data.cli !== null && <CopyButton text={data.cli} label="Copy as CLI" />}
                </div>
              </>
            )}
            {!may && <p className="muted">Needs the level {OPERATION_LEVEL[request.kind]} and a live connection.</p>}
            {lost !== undefined && (
              <p role="alert">
                <Mark tone="unknown" /> No answer came: {lost}. It may have taken effect; look at the present state before you try
                again.
              </p>
            )}
          </>
        )}
        <div className="buttons">
          <button type="button" className="text-button" ref={cancel} data-autofocus onClick={() => onClose(report)}>
            {report === undefined ? 'Cancel' : 'Close'}
          </button>
          {report === undefined && (
            <button
              type="button"
              className="text-button primary"
              data-risk={data?.risk}
              disabled={!ready}
              onClick={() => void run()}
            >
              {busy ? 'Waiting…' : verb}
            </button>
          )}
        </div>
      </div>
    </Modal>
  );
}

/** What became of it, followed while it runs: closing the window stops nothing. */
function Followed({ report: first }: { report: OperationReport }) {
  const report = useOperation(first);
  const link = (
    <Link className="small" to="/operations/$" params={{ _splat: report.operationId }}>
      {report.operationId}
    </Link>
  );
  if (report.outcome === null) {
    return (
      <div role="status" className="running">
        <p>
          <Mark tone="moving" /> Running as {link}. Closing this window stops nothing.
        </p>
        <Progress report={report} />
        {report.canCancel && <StopButton report={report} />}
      </div>
    );
  }
  return (
    <p role="status" className="ended" data-outcome={report.outcome}>
      <Mark tone={OUTCOME_TONE[report.outcome]} /> <strong>{report.outcome}</strong> {report.text} {link}
      {report.statusText !== null && <span className="muted small"> · {report.statusText}</span>}
    </p>
  );
}

function useReadFor(shown: boolean, ms: number): boolean {
  const [long, setLong] = useState(false);
  useEffect(() => {
    if (!shown) return;
    const timer = window.setTimeout(() => setLong(true), ms);
    return () => window.clearTimeout(timer);
  }, [shown, ms]);
  return long;
}
