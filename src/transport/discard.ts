/** Ending sessions that nobody wants. */
import type { RemoteStream } from './transport.ts';

/** Ends a session that nobody wants any more. */
export function discard(stream: RemoteStream): void {
  stream.kill();
  // A channel whose output nobody reads would never close.
  stream.stdout.resume();
  stream.stderr.resume();
}

/** Ends one that may still come up. */
export function discardLater(starting: Promise<RemoteStream>): void {
  void starting.then(discard, () => {});
}
