import './waiting.css';
import { useEffect, useState } from 'react';
import { useConnection } from '../live/use-live.ts';

/** Skeleton in the size of what will stand here; after five seconds it says what is waited for (console §8, Loading). */
export function Waiting({ height, what }: { height: number; what: string }) {
  const { state, welcome } = useConnection();
  const [long, setLong] = useState(false);
  useEffect(() => {
    const timer = window.setTimeout(() => setLong(true), 5_000);
    return () => window.clearTimeout(timer);
  }, []);
  return (
    <div style={{ minHeight: height, padding: 'var(--pad)' }}>
      {long ? (
        <p className="muted">
          Waiting for {what} from {welcome?.node.name ?? 'the node'} ({state}).
        </p>
      ) : (
        <div className="skeleton" style={{ height: Math.max(16, height - 24) }} />
      )}
    </div>
  );
}
