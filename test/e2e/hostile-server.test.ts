/**
 * A server that does what no server does. Whatever it sends, Pine gets a mailbox or a reason, within the time it has been
 * given, and neither memory nor screen are the server's.
 */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { encodeStrings, encodeUint32 } from '../../src/transport/ssh-wire.ts';
import { BUILDS } from '../helpers/builds.ts';
import { flood, type OnExec, openHostilePort, openHostileServer } from '../helpers/hostile-server.ts';
import { settleOpening } from '../helpers/pine-caller.ts';
import { findProcesses, peakMemoryOf } from '../helpers/processes.ts';
import { requirePrograms } from '../helpers/requirements.ts';
import { type PineChild, runAsPine } from '../helpers/run-as-pine.ts';
import type { TempHome } from '../helpers/temp-home.ts';
import { openTrialHome } from '../helpers/trials.ts';

const CONNECT_TIMEOUT_S = 4;

/** Far beyond the deadline of an alias that is given 4 s, with room for a busy machine. */
const PATIENCE = { timeout: 60_000 };

const MEMORY_MAX = 250 * 1024 * 1024;

const VERSION = 'SSH-2.0-OpenSSH_9.2\r\n';
const GREETING = '* PREAUTH [CAPABILITY IMAP4rev1] ready\r\n';
const ESCAPES = '\x1b[2J\x1b]0;title\x07\r\n* OK mine\r\na1 OK yours\r\n\0\xff';
const MIB = Buffer.alloc(1024 * 1024, 'x');

/** RFC 4250 section 4.1. */
const MSG = {
  disconnect: 1,
  ignore: 2,
  unimplemented: 3,
  debug: 4,
  kexinit: 20,
  authBanner: 53,
  globalRequest: 80,
  requestFailure: 82,
  openChannel: 90,
  openConfirmation: 91,
  windowAdjust: 93,
  data: 94,
  extendedData: 95,
  eof: 96,
  close: 97,
  channelRequest: 98,
  channelFailure: 100,
  nothing: 199,
} as const;

function packet(type: number, ...parts: readonly (number | string | Buffer | boolean)[]): Buffer {
  const encoded = parts.map((part) => {
    if (typeof part === 'number') return encodeUint32(part);
    return typeof part === 'boolean' ? Buffer.of(part ? 1 : 0) : encodeStrings(part);
  });
  return Buffer.concat([Buffer.of(type), ...encoded]);
}

function plainPacket(payload: Buffer): Buffer {
  const padding = 16 - ((payload.length + 5) % 8);
  return Buffer.concat([
    encodeUint32(payload.length + padding + 1),
    Buffer.of(padding),
    payload,
    Buffer.alloc(padding),
  ]);
}

function kexinit(list: string): Buffer {
  const lists = encodeStrings(...Array.from({ length: 10 }, () => list));
  return plainPacket(Buffer.concat([Buffer.of(MSG.kexinit), Buffer.alloc(16), lists, Buffer.alloc(5)]));
}

/** What comes in place of a key exchange. */
const BEFORE: Readonly<Record<string, (socket: Socket) => void>> = {
  'lines without end before its version': (socket) => flood(socket, Buffer.from(`${ESCAPES}hello\r\n`)),
  'a first line without end': (socket) => flood(socket, MIB),
  'a version of a megabyte': (socket) => void socket.write(`SSH-2.0-${'x'.repeat(1024 * 1024)}\r\n`),
  'a version with escape sequences': (socket) => void socket.end(`SSH-1.5-${ESCAPES}\r\n`),
  'a web page': (socket) => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n<html>no</html>'),
  'a byte now and then': (socket) => {
    const text = `${VERSION}${'\0'.repeat(1_000)}`;
    let at = 0;
    const timer = setInterval(() => socket.write(text[at++] ?? '\0', 'latin1'), 200);
    socket.on('close', () => clearInterval(timer));
  },
  'a packet of four gigabytes': (socket) => {
    socket.write(VERSION);
    socket.write(Buffer.from([255, 255, 255, 255, 4, 20]));
    flood(socket, MIB);
  },
  'a packet of no length': (socket) =>
    void socket.write(Buffer.concat([Buffer.from(VERSION), Buffer.alloc(64)])),
  'algorithms that nobody knows': (socket) =>
    void socket.write(Buffer.concat([Buffer.from(VERSION), kexinit(ESCAPES)])),
  'no algorithms': (socket) => void socket.write(Buffer.concat([Buffer.from(VERSION), kexinit('')])),
  'algorithms of a megabyte': (socket) =>
    void socket.write(Buffer.concat([Buffer.from(VERSION), kexinit('a,'.repeat(500_000))])),
  'a reason to go away': (socket) =>
    void socket.end(
      Buffer.concat([Buffer.from(VERSION), plainPacket(packet(MSG.disconnect, 2, ESCAPES.repeat(400), ''))]),
    ),
  'messages of no meaning without end': (socket) => {
    socket.write(VERSION);
    flood(socket, plainPacket(packet(MSG.ignore, 'x'.repeat(20_000))));
  },
};

/** What comes for a command, on a connection that is in order. The client's channel is number 0. */
const INSTEAD: Readonly<Record<string, OnExec>> = {
  'a refusal': (_channel, _id, _connection, refuse) => refuse(),
  'an end before the beginning': (_channel, id, { send }) => {
    send(packet(MSG.channelRequest, id, 'exit-status', false, 3));
    send(packet(MSG.close, id));
  },
  'two ends': (channel, id, { send }) => {
    channel.stdout.write('');
    for (let times = 0; times < 2; times += 1) send(packet(MSG.close, id));
  },
  'an exit by a signal of a megabyte': (channel, id, { send }) => {
    channel.stdout.write('');
    send(
      Buffer.concat([
        packet(MSG.channelRequest, id, 'exit-signal', false, ESCAPES.repeat(1_000)),
        packet(0, false, ESCAPES.repeat(500), '').subarray(1),
      ]),
    );
    send(packet(MSG.close, id));
  },
  'more data than the window takes': (channel, id, { send, repeat }) => {
    channel.stdout.write('');
    repeat(() => send(packet(MSG.data, id, MIB.subarray(0, 32_000))));
  },
  'a packet cut in the middle of its fields': (channel, id, { send }) => {
    channel.stdout.write('');
    send(packet(MSG.data, id, MIB.subarray(0, 1_000)).subarray(0, 20));
    send(Buffer.of(MSG.channelRequest));
  },
  'a farewell with escape sequences': (channel, _id, { send }) => {
    channel.stdout.write('');
    send(packet(MSG.disconnect, 11, ESCAPES.repeat(500), ''));
  },
};

/** What a mailbox must bear: the greeting comes, and so does the answer to LOGOUT. */
const BESIDE: Readonly<Record<string, OnExec>> = {
  'stderr without end': (_channel, id, { send, repeat }) => {
    repeat(() => send(packet(MSG.extendedData, id, 1, ESCAPES.repeat(800))));
  },
  'data for channels that are not there': (_channel, _id, { send, repeat }) => {
    repeat(() => send(packet(MSG.data, 4_711, 'x')));
  },
  'messages of no number': (_channel, _id, { send, repeat }) => {
    repeat(() => send(packet(MSG.nothing, 'x')));
  },
  'a second confirmation': (_channel, id, { send }) => {
    send(packet(MSG.openConfirmation, id, 7, 0, 0));
    send(packet(MSG.openConfirmation, 4_711, 7, 0, 0));
  },
  'answers that nobody asked for': (_channel, id, { send }) => {
    for (let times = 0; times < 100; times += 1) {
      send(packet(MSG.requestFailure));
      send(packet(MSG.channelFailure, id));
    }
  },
  'windows beyond all bounds': (_channel, id, { send }) => {
    for (let times = 0; times < 1_000; times += 1) send(packet(MSG.windowAdjust, id, 0xffffffff));
  },
  'thousands of requests': (_channel, _id, { send }) => {
    for (let times = 0; times < 5_000; times += 1)
      send(packet(MSG.globalRequest, `${ESCAPES}@example.org`, true));
  },
  'messages of no meaning': (_channel, _id, { send }) => {
    for (let times = 0; times < 2_000; times += 1) send(packet(MSG.ignore, 'x'.repeat(1_000)));
    for (let times = 0; times < 1_000; times += 1) send(packet(MSG.debug, true, ESCAPES, ''));
  },
  'channels that nobody wants': (_channel, _id, { send }) => {
    for (let times = 0; times < 1_000; times += 1) {
      send(packet(MSG.openChannel, 'x11', times, 65_536, 32_768, '127.0.0.1', 6_000));
    }
  },
  'a little stderr that looks like mail': (channel) => void channel.stderr.write(ESCAPES),
};

function openAlias(home: TempHome, port: number, share: 'yes' | 'no'): void {
  home.writeAlias('work', {
    HOSTNAME: '127.0.0.1',
    PORT: port,
    USER: 'pat',
    IDENTITY_FILE: join(home.dir, 'id'),
    KNOWN_HOSTS: join(home.dir, 'known_hosts'),
    CONNECT_TIMEOUT: CONNECT_TIMEOUT_S,
    SHARE: share,
  });
}

/** Before the end is awaited: of a process that is gone nobody can ask. */
function assertBounds(home: TempHome, child: PineChild): void {
  for (const pid of new Set([child.pid, ...findProcesses(home.dir).map((each) => each.pid)])) {
    let peak = 0;
    try {
      peak = peakMemoryOf(pid);
    } catch {
      // It has ended.
    }
    assert.ok(peak < MEMORY_MAX, `${peak >> 20} MiB`);
  }
}

function assertPlain(child: PineChild): void {
  assert.match(child.output().toString('latin1'), /^(?:[\x20-\x7e]|\r\n)*$/);
}

for (const build of BUILDS) {
  describe(`A server that keeps to nothing (${build.name})`, {
    skip: build.skip || requirePrograms('ssh-keygen'),
    concurrency: 6,
  }, () => {
    const start = (t: Parameters<typeof runAsPine>[0], home: TempHome) =>
      runAsPine(t, build.rshPath, ['work', '-l', 'pat', 'exec', '/etc/rimapd'], { env: home.env });

    for (const [what, serve] of Object.entries(BEFORE)) {
      test(`Sends ${what}, and is refused`, async (t) => {
        const home = openTrialHome(t);
        openAlias(home, await openHostilePort(t, serve), 'no');
        const child = start(t, home);
        await child.waitForLine(PATIENCE);
        assertBounds(home, child);
        assert.ok((await settleOpening(child, PATIENCE)) !== undefined);
        assertPlain(child);
      });
    }

    for (const share of ['no', 'yes'] as const) {
      for (const [what, onExec] of Object.entries(INSTEAD)) {
        test(`Answers a command with ${what}, and is refused (SHARE=${share})`, async (t) => {
          const home = openTrialHome(t);
          openAlias(home, await openHostileServer(t, home, onExec), share);
          const child = start(t, home);
          await child.waitForLine(PATIENCE);
          assertBounds(home, child);
          assert.ok((await settleOpening(child, PATIENCE)) !== undefined);
          assertPlain(child);
        });
      }
    }

    for (const [what, onExec] of Object.entries(BESIDE)) {
      test(`Sends ${what} beside a mailbox, which opens all the same`, async (t) => {
        const home = openTrialHome(t);
        const serve: OnExec = (channel, id, connection, refuse) => {
          channel.stdout.write('');
          onExec(channel, id, connection, refuse);
          channel.stdout.write(GREETING);
          channel.stdin.once('data', () => {
            channel.stdout.write('* BYE\r\na1 OK done\r\n');
            channel.exit(0);
            channel.end();
          });
        };
        openAlias(home, await openHostileServer(t, home, serve), 'no');
        const child = start(t, home);
        assert.equal(await settleOpening(child, PATIENCE), undefined);
        assertBounds(home, child);
        child.write('a1 LOGOUT\r\n');
        assert.equal((await child.finish(PATIENCE)).code, 0);
        assert.ok(child.output().toString().endsWith('a1 OK done\r\n'), child.output().toString());
        assertPlain(child);
      });
    }
  });
}
