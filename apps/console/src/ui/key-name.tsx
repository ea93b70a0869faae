/** Names up to this length are never shortened; of longer ones so much of the end always stays. Characters. */
const SHORT = 28;
const TAIL = 14;

/**
 * A name with the part it shares with its neighbours dimmed. Where there is no room it is shortened in the middle: what tells it apart
 * is mostly at its end (console §6.6, §12.2).
 */
export function KeyName({ name, prefix = '' }: { name: string; prefix?: string }) {
  const shared = prefix !== '' && name.startsWith(prefix) ? prefix : '';
  const own = name.slice(shared.length) || (shared === '' ? '(empty)' : '');
  if (own.length <= SHORT) {
    return (
      <span className="mono key-name">
        {shared !== '' && <span className="shared">{shared}</span>}
        <span className="own">{own}</span>
      </span>
    );
  }
  return (
    <span className="mono key-name long">
      <span className="head">
        {shared !== '' && <span className="shared">{shared}</span>}
        <span className="own">{own.slice(0, -TAIL)}</span>
      </span>
      <span className="own tail">{own.slice(-TAIL)}</span>
    </span>
  );
}
