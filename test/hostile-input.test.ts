/**
 * Whatever comes, no parser does anything but what it says: a value, `undefined`, or its own kind of error. Tried with
 * noise, and with good input that was damaged, which gets further.
 */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseOptions } from '../src/alias/alias-file.ts';
import { parseJumpHost } from '../src/alias/host-value.ts';
import { ALIAS_KEY_NAMES, ALIAS_KEYS, type AliasKey } from '../src/alias/keys.ts';
import { encodeControl, FRAME, FrameError, FrameReader, parseControl } from '../src/broker/frame.ts';
import { parseOpen } from '../src/broker/open-request.ts';
import { Failure } from '../src/errors.ts';
import { parseForwardSpec } from '../src/forward/forward-spec.ts';
import { findSocketOwner } from '../src/forward/socket-table.ts';
import { answerCommand } from '../src/imap/refusal.ts';
import { formatHead, parseHead } from '../src/mail/envelope.ts';
import { MarkReader } from '../src/mail/sendmail-command.ts';
import { parseKexInit } from '../src/transport/kexinit.ts';
import { parseKeyFile } from '../src/transport/key-file.ts';
import { listSkippedLines, parseKnownHosts, readKeyType } from '../src/transport/known-hosts-file.ts';
import { makeKeyPair } from '../src/transport/new-key.ts';
import { encodeMessage, FrameReader as MuxReader } from '../src/transport/openssh-packet.ts';
import { encodeStrings, encodeUint32 } from '../src/transport/ssh-wire.ts';
import { caseCount } from './helpers/cases.ts';

const MANY = { numRuns: caseCount(1_000) };

const noise = fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes));

interface Damage {
  readonly at: number;
  readonly what: 'cut' | 'change' | 'insert' | 'repeat';
  readonly byte: number;
}

const damage: fc.Arbitrary<Damage> = fc.record({
  at: fc.nat(),
  what: fc.constantFrom('cut', 'change', 'insert', 'repeat'),
  byte: fc.oneof(fc.constantFrom(0, 10, 32, 44, 58, 127, 128, 255), fc.nat(255)),
});

/** Good input with a few things done to it. */
function damaged(...samples: readonly (string | Buffer)[]): fc.Arbitrary<Buffer> {
  return fc
    .tuple(fc.constantFrom(...samples), fc.array(damage, { minLength: 1, maxLength: 4 }))
    .map(([sample, damages]) =>
      damages.reduce((bytes, { at, what, byte }) => {
        const place = at % (bytes.length + 1);
        const [head, tail] = [bytes.subarray(0, place), bytes.subarray(place)];
        if (what === 'cut') return head;
        if (what === 'repeat') return Buffer.concat([bytes, tail]);
        return Buffer.concat([head, Buffer.of(byte), what === 'insert' ? tail : tail.subarray(1)]);
      }, Buffer.from(sample)),
    );
}

function fuzz(samples: readonly (string | Buffer)[], check: (bytes: Buffer) => void): void {
  fc.assert(fc.property(fc.oneof(noise, damaged(...samples)), check), MANY);
}

/** Runs what may throw; anything but the expected kind of error is a finding. */
function throwsOnly(kind: typeof Failure | typeof FrameError, run: () => void): void {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof kind, error instanceof Error ? error.stack : String(error));
  }
}

const ENVELOPE = {
  host: 'work',
  user: 'pat',
  port: 22,
  family: 0,
  overrides: { CONNECT_TIMEOUT: '3' },
  args: ['-oi', '-t'],
  written: 1_800_000_000_000,
} as const;

const KEXINIT = Buffer.concat([
  Buffer.from('hello\r\nSSH-2.0-OpenSSH_9.2\r\n'),
  Buffer.of(0, 0, 1, 0, 10, 20),
  Buffer.alloc(16),
  encodeStrings('curve25519-sha256', 'ssh-ed25519', 'aes128-gcm@openssh.com', 'aes128-ctr', 'hmac', 'hmac'),
]);

const PEM = { type: 'pkcs8', format: 'pem' } as const;
const { privateKey: EC_KEY } = generateKeyPairSync('ec', {
  namedCurve: 'P-256',
  privateKeyEncoding: PEM,
  publicKeyEncoding: { type: 'spki', format: 'pem' },
});

const SOCKETS = [
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode',
  '   1: 0100007F:D431 0100007F:07E9 01 00000000:00000000 02:000A8C8D 00000000  1000        0 7455513 2',
].join('\n');

describe('A parser is never taken by surprise', () => {
  it('by values of alias keys, and never repeats one that it refuses', () => {
    const keys = fc.constantFrom(...ALIAS_KEY_NAMES);
    const text = fc.oneof(
      fc.string({ maxLength: 60 }),
      fc.string({ unit: fc.constantFrom(...'0123456789smhdw,:@[]%h~/ -*?!+^=SHA256'), maxLength: 60 }),
    );
    fc.assert(
      fc.property(keys, text, (name, value) => {
        const key: AliasKey<unknown> = ALIAS_KEYS[name];
        const parsed = key.parse(value, '/home/pat');
        if ('value' in parsed) return;
        const said = Object.values(parsed).join(' ');
        const secret = value.trim();
        assert.ok(secret.length < 8 || !said.includes(secret), said);
        throwsOnly(Failure, () => parseOptions(new Map([[name, value]]), '/home/pat'));
      }),
      { numRuns: caseCount(5_000) },
    );
  });

  it('by gateways', () => {
    fuzz(['pat@[2001:db8::1]:22', 'ssh://pat@gate:22/', 'gate'], (bytes) => {
      const parsed = parseJumpHost(bytes.toString('latin1'), '');
      if ('value' in parsed) assert.match(parsed.value.host, /^[A-Za-z0-9._\-+:%]+$/);
    });
  });

  it('by forwards', () => {
    fuzz(['2025:mail:25/smtp', '/run/s:[::1]:119', '*:1:h:2'], (bytes) => {
      throwsOnly(Failure, () => {
        const { host, port } = parseForwardSpec(bytes.toString('latin1'));
        assert.ok(!host.startsWith('-') && port > 0 && port < 65_536);
      });
    });
  });

  it("by the kernel's table of sockets", () => {
    const client = { address: '127.0.0.1', port: 0xd431 };
    const server = { address: '127.0.0.1', port: 0x07e9 };
    fuzz([SOCKETS], (bytes) => {
      const uid = findSocketOwner(bytes.toString('latin1'), client, server);
      assert.ok(uid === undefined || Number.isInteger(uid));
    });
  });

  it('by frames of a broker and what is in them', () => {
    const good = [
      encodeControl(FRAME.OPEN, { kind: 'mail' }),
      encodeControl(FRAME.HELLO, { version: 1 }),
      encodeControl(FRAME.PING, { ms: 5 }),
    ];
    fuzz([Buffer.concat(good), ...good.map((frame) => Buffer.from(frame))], (bytes) => {
      throwsOnly(FrameError, () => {
        new FrameReader().push(bytes, ({ payload }) => parseOpen(parseControl(payload)));
      });
    });
  });

  it("by frames of ssh's multiplexer", () => {
    fuzz([encodeMessage(90, 'session', 0, 65_536, 32_768)], (bytes) => {
      throwsOnly(Failure, () => {
        const reader = new MuxReader();
        const half = bytes.length >> 1;
        for (const part of [bytes.subarray(0, half), bytes.subarray(half)])
          for (const _ of reader.push(part));
      });
    });
  });

  it("by a server's first bytes", () => {
    fuzz([KEXINIT], (bytes) => {
      for (const list of Object.values(parseKexInit(bytes) ?? {})) assert.ok(Array.isArray(list));
    });
  });

  it('by key files', () => {
    const { privateKey, publicKey } = makeKeyPair('pat');
    const locked = privateKey.replace(/[\s\S]*/, (text) => {
      const body = Buffer.from(text.split('\n').slice(1, -2).join(''), 'base64');
      const parts = encodeStrings('aes256-ctr', 'bcrypt', encodeStrings(Buffer.alloc(16)));
      const head = Buffer.concat([Buffer.from('openssh-key-v1\0'), parts.subarray(0, -4), encodeUint32(16)]);
      const joined = Buffer.concat([head, body.subarray(39)]).toString('base64');
      return `-----BEGIN OPENSSH PRIVATE KEY-----\n${joined}\n-----END OPENSSH PRIVATE KEY-----\n`;
    });
    fuzz([privateKey, publicKey, locked, EC_KEY], (bytes) => {
      throwsOnly(Failure, () => {
        const key = parseKeyFile('/home/pat/.ssh/id', bytes);
        if (key.kind === 'open') key.key.getPublicSSH();
      });
    });
  });

  it('by a key file with one byte too many, wherever it stands', () => {
    const { privateKey } = makeKeyPair('pat');
    for (const byte of ['\0', ' ', 'A', '=']) {
      for (let at = 0; at < privateKey.length; at += 1) {
        const text = `${privateKey.slice(0, at)}${byte}${privateKey.slice(at)}`;
        throwsOnly(Failure, () => {
          const key = parseKeyFile('/home/pat/.ssh/id', Buffer.from(text, 'latin1'));
          if (key.kind === 'open') key.key.getPublicSSH();
        });
      }
    }
  });

  it('by known_hosts', () => {
    const { publicKey } = makeKeyPair('pat');
    const line = publicKey.split(' ').slice(0, 2).join(' ');
    fuzz([`mail,[mail]:22 ${line}\n@revoked * ${line}\n|1|AAAA|BBBB ${line}\n`], (bytes) => {
      listSkippedLines(parseKnownHosts(bytes, 'known_hosts'));
      readKeyType(bytes);
    });
  });

  it('by the head of a kept message', () => {
    fuzz([formatHead(ENVELOPE)], (bytes) => {
      const head = parseHead(bytes);
      if (head === undefined) return;
      assert.ok(Number.isSafeInteger(head.size) && head.size >= 0, `size ${head.size}`);
      const { host, args, overrides, written } = head.envelope;
      assert.equal(typeof host, 'string');
      assert.ok(args.every((arg) => typeof arg === 'string'));
      assert.ok(Object.values(overrides).every((value) => typeof value === 'string'));
      assert.equal(typeof written, 'number');
    });
  });

  it('by what comes before a delivery is confirmed, however it is cut', () => {
    const output = fc.array(
      fc.oneof(noise, fc.constant(Buffer.from('stored-0123')), fc.constant(Buffer.from('\n'))),
    );
    fc.assert(
      fc.property(output, (chunks) => {
        const reader = new MarkReader('0123', 1_000);
        const after = Buffer.concat(chunks.map((chunk) => reader.push(chunk)));
        const all = Buffer.concat(chunks);
        const at = all.indexOf('stored-0123\n');
        assert.equal(reader.found, at !== -1);
        if (at !== -1) assert.ok(after.equals(all.subarray(at + 'stored-0123\n'.length)));
        assert.ok(reader.noise.length <= 1_000 || reader.found);
      }),
      MANY,
    );
  });

  it('by commands of a client that is refused', () => {
    fuzz(['a1 LOGIN pat {3}', '00000001 SELECT INBOX', '* OK', 'x LOGOUT'], (bytes) => {
      const { answer } = answerCommand(bytes.toString('latin1').split('\n')[0] ?? '', 'the reason');
      for (const line of answer.split('\r\n').slice(0, -1)) assert.match(line, /^[\x20-\x7e]+$/);
      assert.ok(answer.endsWith('\r\n'));
    });
  });
});
