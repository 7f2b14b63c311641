/**
 * IMAP goes through untouched: a tee on either side of the real imapd records a session of a thousand random commands,
 * and what the client sent and got equals the record byte for byte.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { describe, type TestContext, test } from 'node:test';
import { BUILDS, type Build } from '../helpers/builds.ts';
import { giveTo } from '../helpers/login-user.ts';
import { type MailHost, openMailHost } from '../helpers/mail-host.ts';
import { pineWords } from '../helpers/pine-caller.ts';
import { signalProcess } from '../helpers/processes.ts';
import { programPath, requirePrograms } from '../helpers/requirements.ts';
import { runProgram } from '../helpers/run-program.ts';
import { defer } from '../helpers/scope.ts';
import { openTempHome, type TempHome } from '../helpers/temp-home.ts';
import { waitUntil, within } from '../helpers/wait.ts';

const NEEDS = requirePrograms('sshd', 'imap', 'tee');

const COMMANDS = 1_000;

/** A mail host whose imapd stands between two tees; `records` gives what those of sessions with a client wrote. */
async function openTappedHost(t: TestContext): Promise<{ host: MailHost; tap: string; records(): Taped[] }> {
  const host = await openMailHost(t);
  const dir = join(host.home, 'tap');
  mkdirSync(dir);
  giveTo(host.login, dir);
  const tee = programPath('tee');
  const tap = host.writeProgram('tapped', `${tee} "${dir}/$$.in" | ${host.rimapd} | ${tee} "${dir}/$$.out"`);
  return {
    host,
    tap,
    records: () =>
      readdirSync(dir)
        .filter((name) => name.endsWith('.in'))
        .map((name) => ({
          input: readFileSync(join(dir, name)),
          output: readFileSync(join(dir, name.replace(/in$/, 'out'))),
        }))
        .filter(({ input }) => input.length > 0),
  };
}

interface Taped {
  readonly input: Buffer;
  readonly output: Buffer;
}

/** Numbers from 0 to below `max`, the same for the same seed (Marsaglia's xorshift32). */
function openDice(seed: number): (max: number) => number {
  let state = seed | 1;
  return (max) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % max;
  };
}

type Dice = (max: number) => number;

/** A command without its tag; what follows a `{N}` waits for the server's `+`. */
type Command = readonly (string | Buffer)[];

const FLAGS = ['\\Seen', '\\Flagged', '\\Answered', '\\Deleted', 'work', '()'];
const ITEMS = [
  'FLAGS',
  'ALL',
  'FULL',
  'UID',
  'RFC822.SIZE',
  'BODYSTRUCTURE',
  'BODY.PEEK[]',
  'BODY[TEXT]<3.1000>',
  'BODY.PEEK[HEADER.FIELDS (SUBJECT FROM)]',
  'NONSENSE',
];
const SEARCHES = ['ALL', 'UNSEEN', 'SUBJECT message', '1:* NOT FLAGGED', 'LARGER 2000', 'SINCE 32-Foo-2000'];

function rollCommand(dice: Dice): Command {
  const pick = <T>(from: readonly T[]): T => from[dice(from.length)] as T;
  const range = (): string =>
    pick(['1', '*', '1:3', '2:*', `${dice(30)}`, `${1 + dice(9)},${10 + dice(9)}:20`]);
  const uid = pick(['', '', 'UID ']);
  const kinds: readonly (() => Command)[] = [
    () => [pick(['NOOP', 'CAPABILITY', 'CHECK', 'noop', 'NAMESPACE', 'XYZZY', 'FETCH', ' NOOP'])],
    () => [`${uid}FETCH ${range()} ${pick(ITEMS)}`],
    () => [`${uid}FETCH ${range()} (${pick(ITEMS)} ${pick(ITEMS)})`],
    () => [`${uid}STORE ${range()} ${pick(['', '+', '-'])}FLAGS (${pick(FLAGS)})`],
    () => [`${uid}SEARCH ${pick(SEARCHES)}`],
    () => [`STATUS ${pick(['Work', 'INBOX', 'None'])} (MESSAGES UIDNEXT UNSEEN)`],
    () => [`LIST "" ${pick(['*', '%', '"Wo%"'])}`],
    () => [`${pick(['SELECT', 'EXAMINE'])} ${pick(['INBOX', 'INBOX', 'Work', 'None', '"W\\"o"'])}`],
    () => [`COPY ${range()} Work`],
    () => [`${pick(['CREATE', 'DELETE', 'SUBSCRIBE'])} folder${dice(4)}`],
    () => {
      const message = rollMessage(dice);
      return [`APPEND Work (${pick(FLAGS.slice(0, 4))}) {${message.length}}`, message];
    },
    () => {
      const message = rollMessage(dice);
      return [Buffer.concat([Buffer.from(`APPEND Work {${message.length}+}\r\n`), message])];
    },
  ];
  return pick(kinds)();
}

/** Any bytes but NUL, which IMAP does not carry: 8-bit, lone CR and LF, lines that look like answers, no end of line. */
function rollMessage(dice: Dice): Buffer {
  const size = dice(8) === 0 ? dice(200_000) : dice(3_000);
  const body = Buffer.alloc(size);
  for (let at = 0; at < size; at += 1) body[at] = 1 + dice(255);
  return Buffer.concat([Buffer.from('Subject: random\r\n\r\n* BYE no\r\nx1 OK no\r\n+ no\r\n'), body]);
}

/** A client that keeps every byte it sent and got. */
class RecordingClient {
  readonly sent: Buffer[] = [];
  readonly got: Buffer[] = [];
  readonly #input: Writable;
  #unread = '';
  #wanted: { readonly pattern: RegExp; readonly resolve: (found: string) => void } | undefined;

  constructor(input: Writable) {
    this.#input = input;
  }

  hear(chunk: Buffer): void {
    this.got.push(chunk);
    this.#unread += chunk.toString('latin1');
    this.#look();
  }

  send(data: string | Buffer): void {
    const bytes = typeof data === 'string' ? Buffer.from(data, 'latin1') : data;
    this.sent.push(bytes);
    this.#input.write(bytes);
  }

  /** Waits for a line and forgets all up to its end. */
  async wait(pattern: RegExp): Promise<string> {
    const found = new Promise<string>((resolve) => {
      this.#wanted = { pattern, resolve };
    });
    this.#look();
    const detail = (): string => JSON.stringify(this.#unread.slice(-500));
    return await within(String(pattern), found, { timeout: 60_000, detail });
  }

  #look(): void {
    const found = this.#wanted?.pattern.exec(this.#unread);
    if (found === null || found === undefined) {
      // A literal of megabytes is not searched again for every packet.
      this.#unread = this.#unread.slice(-TAIL);
      return;
    }
    const { resolve } = this.#wanted as { resolve: (text: string) => void };
    this.#wanted = undefined;
    this.#unread = this.#unread.slice(found.index + found[0].length);
    resolve(found[0]);
  }

  /** One command, or several in one go; waits for the last answer. */
  async run(commands: readonly Command[], firstTag: number): Promise<void> {
    for (const [at, parts] of commands.entries()) {
      const tag = `tag${firstTag + at}.`;
      const last = at === commands.length - 1;
      for (const [index, part] of parts.entries()) {
        this.send(index === 0 ? Buffer.concat([Buffer.from(`${tag} `), Buffer.from(part)]) : part);
        this.send('\r\n');
        if (index === parts.length - 1) continue;
        // Refused without having been sent: there is no second part.
        const answer = await this.wait(new RegExp(`^(?:\\+|${tag} \\S+) .*\\r\\n`, 'm'));
        if (!answer.startsWith('+')) return;
      }
      if (last) await this.wait(new RegExp(`^${tag} \\S+ .*\\r\\n`, 'm'));
    }
  }
}

/** Longer than any line that is waited for. */
const TAIL = 4_096;

/** Runs a session of random commands and gives what the client knows of it. */
async function runSession(
  t: TestContext,
  build: Build,
  home: TempHome,
  user: string,
  dice: Dice,
): Promise<Taped> {
  // Both outputs on one pipe, as c-client joins them: whatever else were written would be in the record.
  const words = ['-c', 'exec "$0" "$@" 2>&1', build.rshPath, ...pineWords('work', user)];
  const child = spawn('/bin/sh', words, { env: home.env, stdio: ['pipe', 'pipe', 'inherit'] });
  const { pid } = child;
  assert.ok(pid !== undefined);
  defer(t, () => signalProcess(pid, 'SIGKILL'));
  const closed = new Promise<number | null>((resolve) => child.once('close', resolve));
  const client = new RecordingClient(child.stdin);
  child.stdout.on('data', (chunk: Buffer) => client.hear(chunk));
  await client.wait(/^\* PREAUTH .*\r\n/);
  await client.run([['SELECT INBOX']], 0);
  for (let tag = 1; tag <= COMMANDS; ) {
    const commands = Array.from({ length: 1 + dice(4) }, () => rollCommand(dice));
    // What waits for a `+` goes alone: another answer could begin with one.
    const batch = commands.some((parts) => parts.length > 1) ? commands.slice(-1) : commands;
    await client.run(batch, tag);
    tag += batch.length;
  }
  await client.run([['LOGOUT']], 999_999);
  child.stdin.end();
  assert.equal(await within('the end', closed), 0);
  return { input: Buffer.concat(client.sent), output: Buffer.concat(client.got) };
}

function assertSameBytes(what: string, actual: Buffer, expected: Buffer): void {
  if (actual.equals(expected)) return;
  const at = actual.findIndex((byte, index) => byte !== expected[index]);
  const around = (bytes: Buffer): string =>
    JSON.stringify(bytes.toString('latin1', Math.max(0, at - 40), at + 40));
  assert.fail(
    `${what}: ${actual.length} and ${expected.length} bytes, at ${at} ${around(actual)}, ${around(expected)}`,
  );
}

for (const build of BUILDS) {
  describe(`A session of ${COMMANDS} random commands (${build.name})`, { skip: NEEDS || build.skip }, () => {
    for (const [route, keys] of [
      ['direct', { SHARE: 'no' }],
      ['shared', { WARM: 0 }],
      ['warm', { WARM: 1 }],
    ] as const) {
      test(`is the same at both ends: ${route}`, async (t) => {
        const { host, tap, records } = await openTappedHost(t);
        const home = openTempHome(t);
        home.writeAlias('work', { ...host.aliasKeys, IMAPD: tap, ...keys });
        if (route === 'warm') await openWarm(build, home, host.user);
        const seed = Date.now() & 0x7fffffff;
        const client = await runSession(t, build, home, host.user, openDice(seed));
        const last = home.log().trimEnd().split('\n').at(-1) ?? '';
        assert.match(last, new RegExp(` session .*route=${route} `));
        const taped = await waitUntil('the record', () =>
          records().find(({ input }) => input.length === client.input.length),
        );
        t.diagnostic(`seed ${seed}, ${client.input.length} bytes there, ${client.output.length} back`);
        assertSameBytes('to the imapd', taped.input, client.input);
        assertSameBytes('from the imapd', taped.output, client.output);
      });
    }
  });
}

/** Opens and closes a folder, and waits until another imapd is ready. */
async function openWarm(build: Build, home: TempHome, user: string): Promise<void> {
  const { env } = home;
  await runProgram(build.rshPath, pineWords('work', user), { env, input: 'a LOGOUT\r\n' });
  await waitUntil('a warm imapd', async () => {
    const { stdout } = await runProgram(build.ctlPath, ['status', '--json'], { env });
    return JSON.parse(stdout.toString()).brokers[0]?.warm === 1;
  });
}
