/**
 * Two thousand sessions in a row through one broker, every other one a mailbox: what it holds at the start, in the
 * middle and at the end must be the same. Run by hand, for each build: `npx tsx test/soak/broker-soak.ts [SESSIONS]`.
 */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { type OpenedSession, openThroughBroker } from '../../src/broker/client.ts';
import { openSharing } from '../broker/sharing.ts';
import { BUILDS, type Build } from '../helpers/builds.ts';
import { residentMemoryOf } from '../helpers/processes.ts';
import type { Scope } from '../helpers/scope.ts';
import { waitUntil } from '../helpers/wait.ts';
import { withScope } from './hour/own-scope.ts';

const SESSIONS = Number(process.argv[2] ?? 2_000);

function measure(pid: number): string {
  const descriptors = readdirSync(`/proc/${pid}/fd`).length;
  return `${descriptors} descriptors, ${Math.round(residentMemoryOf(pid) / 1024 / 1024)} MiB`;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** The remote's answer to `input`, and its end. */
async function use({ stream }: OpenedSession, input: string): Promise<string> {
  let output = '';
  stream.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString('latin1');
  });
  stream.stderr.resume();
  stream.stdin.write(Buffer.from(input));
  stream.stdin.end();
  const exit = await stream.exit;
  assert.deepEqual(exit, { kind: 'status', status: 0 });
  return output;
}

async function soak(scope: Scope, build: Build): Promise<void> {
  const sharing = await openSharing(scope, build);
  await sharing.leave(await sharing.open());
  const { pid, socket } = await sharing.broker(({ warm }) => warm >= 1);
  const routes = { warm: 0, shared: 0 };
  const start = performance.now();
  for (let count = 0; count < SESSIONS; count += 1) {
    if (count % (SESSIONS / 4) === 0) print(`${build.name}: ${count} sessions: ${measure(pid)}`);
    const mail = count % 2 === 0;
    const request = mail ? ({ kind: 'mail' } as const) : ({ kind: 'exec', command: 'cat' } as const);
    const signal = AbortSignal.timeout(30_000);
    const session = await openThroughBroker(socket, sharing.settings.uid, request, signal, () => {});
    assert.ok(session);
    if (mail) routes[session.route] += 1;
    const answer = await use(session, mail ? 'a1 SELECT INBOX\r\na2 LOGOUT\r\n' : `line ${count}`);
    assert.ok(mail ? answer.includes('a2 OK') : answer === `line ${count}`, answer);
  }
  const seconds = (performance.now() - start) / 1_000;
  await sharing.broker(({ sessions }) => sessions === 0);
  print(`${build.name}: ${SESSIONS} sessions: ${measure(pid)}; ${(SESSIONS / seconds).toFixed(0)} a second`);
  print(`${build.name}: mailboxes warm ${routes.warm}, shared ${routes.shared}; logins ${sharing.logins()}`);
  // Sessions that follow each other closely count as opened at once, for which more than one imapd is kept warm.
  await waitUntil(
    'imapds end but those kept warm',
    async () => sharing.host.remoteProcesses().length <= (await sharing.broker()).warm,
  );
}

for (const build of BUILDS) await withScope((scope) => soak(scope, build));
