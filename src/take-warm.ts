/**
 * The short way to a folder, tried before anything else is loaded: where this very call has opened one before, its
 * broker finds the alias and hands over an imapd that is ready, or starts one while the rest is loaded here. Whatever
 * keeps it from that leads to the long way (session.ts), which does everything itself and knows what to say.
 */
import { findCall } from './broker/call.ts';
import { type TakenSession, takeThroughBroker } from './broker/client.ts';
import { CallerSignals } from './caller-signals.ts';
import { type Descriptors, inspectDescriptors } from './pipe/descriptors.ts';
import { readCallerSettings } from './settings.ts';
import { writeAll } from './write-all.ts';

/** What is known by the time that a session is to be run. */
export interface Start {
  readonly descriptors?: Descriptors;
  /** They are obeyed already. */
  readonly signals?: CallerSignals;
  /** What the broker has for the call; if that is ready its greeting is written. */
  readonly taken?: TakenSession;
  /** What kept it from being tried, for the log. */
  readonly trouble?: unknown;
}

/** Tries; never fails. */
export async function takeWarm(args: readonly string[]): Promise<Start> {
  let start: Start = {};
  try {
    const settings = readCallerSettings();
    if (settings === undefined) return start;
    const call = { args, env: settings.callEnv };
    const path = findCall(call, settings);
    if (path === undefined) return start;
    const descriptors = inspectDescriptors();
    start = { descriptors };
    if (descriptors.terminal) return start;
    const taken = await takeThroughBroker(path, settings.uid, call, {
      onAsked() {
        const signals = new CallerSignals();
        signals.obey('SIGHUP', 'SIGINT', 'SIGTERM');
        start = { descriptors, signals };
      },
      onGreeting: (greeting) => writeAll(1, greeting),
    });
    return taken === undefined ? start : { ...start, taken };
  } catch (trouble) {
    return { ...start, trouble };
  }
}
