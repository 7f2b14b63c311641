/** What brokers tell about themselves, and how they are stopped; for pine-rshctl and for a newer broker. */
import { BROKER_HELLO_MS } from '../limits.ts';
import type { Settings } from '../settings.ts';
import { FRAME, PROTOCOL_VERSION, parseControl } from './frame.ts';
import { connectFrames, listBrokerSockets } from './socket-path.ts';

/** PROTOCOL.md, STATUS. */
export interface BrokerStatus {
  readonly alias: string;
  readonly pid: number;
  readonly version: string;
  /** Takes no more sessions, and ends with its last one. */
  readonly retired: boolean;
  readonly sessions: number;
  readonly warm: number;
  readonly taken: number;
  readonly age_s: number;
  readonly bytes: number;
}

/** All brokers that answer, of those that take sessions or of these. */
export async function listBrokers(
  settings: Settings,
  sockets = listBrokerSockets(settings),
): Promise<(BrokerStatus & { readonly socket: string })[]> {
  const found = await Promise.all(
    sockets.map(async (socket) => {
      const status = await ask(socket, settings.uid, FRAME.STATUS);
      return status === undefined ? [] : [{ ...(status as unknown as BrokerStatus), socket }];
    }),
  );
  return found.flat();
}

/** Makes a broker take no more sessions and end with its last one; `now`: at once. False if none answered. */
export async function stopBroker(socket: string, settings: Settings, now: boolean): Promise<boolean> {
  return (await ask(socket, settings.uid, FRAME.STOP, { now })) !== undefined;
}

/** One question and its answer; undefined if nobody is there or answers in time. */
async function ask(
  path: string,
  uid: number,
  type: typeof FRAME.STATUS | typeof FRAME.STOP,
  body: object = {},
): Promise<Readonly<Record<string, unknown>> | undefined> {
  let finish: (answer: Readonly<Record<string, unknown>> | undefined) => void = () => {};
  const answer = new Promise<Readonly<Record<string, unknown>> | undefined>((resolve) => {
    finish = resolve;
  });
  const frames = await connectFrames(path, uid, {
    onFrame: (frame) => {
      if (frame.type === type) finish(parseControl(frame.payload));
    },
    onClose: () => finish(undefined),
  }).catch(() => undefined);
  if (frames === undefined) return undefined;
  const timer = setTimeout(() => finish(undefined), BROKER_HELLO_MS);
  frames.controls([FRAME.HELLO, { version: PROTOCOL_VERSION }], [type, body]);
  try {
    return await answer;
  } finally {
    clearTimeout(timer);
    frames.destroy();
  }
}
