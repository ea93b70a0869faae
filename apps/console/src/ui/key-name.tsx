/** A name with the part it shares with its neighbours dimmed; what tells it apart is never cut (console §6.6). */
export function KeyName({ name, prefix = '' }: { name: string; prefix?: string }) {
  const shared = prefix !== '' && name.startsWith(prefix) ? prefix : '';
  return (
    <span className="mono key-name">
      {shared !== '' && <span className="shared">{shared}</span>}
      <span className="own">{name.slice(shared.length) || (shared === '' ? '(empty)' : '')}</span>
    </span>
  );
}
