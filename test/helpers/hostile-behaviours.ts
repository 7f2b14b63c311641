/**
 * What a server may do that no server does, in tables: before the key exchange, at the login, in place of a command's
 * answer, and beside a mailbox.
 */
import type { Socket } from 'node:net';
import { encodeStrings, encodeUint32 } from '../../src/transport/ssh-wire.ts';
import { flood, type OnExec, type OnLogin } from './hostile-server.ts';

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
  authFailure: 51,
  authSuccess: 52,
  authBanner: 53,
  authQuestions: 60,
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

/** RFC 4253 section 7.1: ten lists. */
function kexinit(...lists: readonly string[]): Buffer {
  return plainPacket(
    Buffer.concat([Buffer.of(MSG.kexinit), Buffer.alloc(16), encodeStrings(...lists), Buffer.alloc(5)]),
  );
}

const tenTimes = (list: string): string[] => Array.from({ length: 10 }, () => list);

const ENCRYPTION = ['aes128-ctr', 'aes128-ctr', 'hmac-sha2-256', 'hmac-sha2-256', 'none', 'none', '', ''];

type OnSocket = (socket: Socket) => void;

const FIRST: Readonly<Record<string, OnSocket>> = {
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
    void socket.write(Buffer.concat([Buffer.from(VERSION), kexinit(...tenTimes(ESCAPES))])),
  'no algorithms': (socket) =>
    void socket.write(Buffer.concat([Buffer.from(VERSION), kexinit(...tenTimes(''))])),
  'algorithms of a megabyte': (socket) =>
    void socket.write(Buffer.concat([Buffer.from(VERSION), kexinit(...tenTimes('a,'.repeat(500_000)))])),
  'a reason to go away': (socket) =>
    void socket.end(
      Buffer.concat([Buffer.from(VERSION), plainPacket(packet(MSG.disconnect, 2, ESCAPES.repeat(400), ''))]),
    ),
  'a login in place of a key exchange': (socket) =>
    void socket.write(Buffer.concat([Buffer.from(VERSION), plainPacket(packet(MSG.authSuccess))])),
  'a login in the midst of a key exchange': (socket) =>
    void socket.write(
      Buffer.concat([
        Buffer.from(VERSION),
        kexinit('curve25519-sha256', 'ssh-ed25519', ...ENCRYPTION),
        plainPacket(packet(MSG.authSuccess)),
        plainPacket(packet(MSG.openConfirmation, 0, 0, 65_536, 32_768)),
        plainPacket(packet(MSG.data, 0, GREETING)),
      ]),
    ),
  'messages of no meaning without end': (socket) => {
    socket.write(VERSION);
    flood(socket, plainPacket(packet(MSG.ignore, 'x'.repeat(20_000))));
  },
};

/** What comes in place of a key exchange. */
export const BEFORE: Readonly<Record<string, OnSocket>> = Object.fromEntries(
  Object.entries(FIRST).map(([what, serve]) => [
    what,
    (socket) => {
      serve(socket);
      // A socket that nobody reads never sees the other end go.
      socket.resume();
    },
  ]),
);

/** What comes for each request to log in; none of it is a login. */
export const LOGIN: Readonly<Record<string, OnLogin>> = {
  'nothing at all': () => {},
  'a yes to each key, and another question': (attempt) => attempt.reject(['publickey'], true),
  'a no, and all methods there are': (attempt) =>
    attempt.reject(['none', 'publickey', 'password', 'keyboard-interactive', 'hostbased']),
  'a no, and methods that nobody knows': (attempt) => attempt.reject([ESCAPES as 'none']),
  'noes without end': (_attempt, { send, repeat }) => {
    repeat(() => send(packet(MSG.authFailure, 'publickey,password', false)));
  },
  'half a yes without end': (_attempt, { send, repeat }) => {
    repeat(() => send(packet(MSG.authFailure, 'publickey,keyboard-interactive', true)));
  },
  'questions without end': (_attempt, { send, repeat }) => {
    repeat(() => send(packet(MSG.authQuestions, ESCAPES, ESCAPES, '', 1, ESCAPES, true)));
  },
  'rounds of no questions without end': (_attempt, { send, repeat }) => {
    repeat(() => send(packet(MSG.authQuestions, '', '', '', 0)));
  },
  'banners without end': (_attempt, { send, repeat }) => {
    repeat(() => send(packet(MSG.authBanner, ESCAPES.repeat(100), '')));
  },
  'new keys without end': (_attempt, { rekeyOnAndOn }) => rekeyOnAndOn(),
  'a farewell': (_attempt, { send }) => send(packet(MSG.disconnect, 2, ESCAPES.repeat(100), '')),
};

/** What comes for a command, on a connection that is in order. The client's channel is number 0. */
export const INSTEAD: Readonly<Record<string, OnExec>> = {
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

const AROUND: Readonly<Record<string, OnExec>> = {
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
  'new keys without end': (_channel, _id, { rekeyOnAndOn }) => rekeyOnAndOn(),
  'logins that nobody asked for': (_channel, _id, { send }) => {
    for (let times = 0; times < 100; times += 1) send(packet(MSG.authSuccess));
  },
  'a little stderr that looks like mail': (channel) => void channel.stderr.write(ESCAPES),
};

/** A mailbox that opens, and whose server then sends without leave. */
export const excessOfMail: OnExec = (channel, id, { send, repeat }) => {
  channel.stdout.write(GREETING);
  channel.stdin.once('data', () => repeat(() => send(packet(MSG.data, id, MIB.subarray(0, 32_000)))));
};

/** What a mailbox must bear: the greeting comes, and so does the answer to LOGOUT. */
export const BESIDE: Readonly<Record<string, OnExec>> = Object.fromEntries(
  Object.entries(AROUND).map(([what, onExec]) => [
    what,
    (channel, id, connection, refuse) => {
      channel.stdout.write('');
      onExec(channel, id, connection, refuse);
      channel.stdout.write(GREETING);
      channel.stdin.once('data', () => {
        channel.stdout.write('* BYE\r\na1 OK done\r\n');
        channel.exit(0);
        channel.end();
      });
    },
  ]),
);
