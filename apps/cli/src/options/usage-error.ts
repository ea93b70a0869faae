/** The command line or a shell command is wrong; the message fits one line and says what to write instead. Nothing was sent. */
export class UsageError extends Error {
  override name = 'UsageError';
}
