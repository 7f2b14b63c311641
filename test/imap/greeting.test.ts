import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import '../helpers/cases.ts';
import { GreetingGuard, type GreetingVerdict, mendGreeting } from '../../src/imap/greeting.ts';
import { GREETING_LINE_MAX, GREETING_NOISE_MAX } from '../../src/limits.ts';

const GREETING = '* PREAUTH [CAPABILITY IMAP4rev1] Logged in as pat\r\n';

function judge(...chunks: (string | Buffer)[]): GreetingVerdict {
  const guard = new GreetingGuard();
  let verdict: GreetingVerdict = { kind: 'more' };
  for (const chunk of chunks) {
    verdict = guard.push(Buffer.from(chunk as string));
    if (verdict.kind !== 'more') break;
  }
  return verdict;
}

function preauth(...chunks: (string | Buffer)[]): { greeting: string; rest: string; noise: string } {
  const verdict = judge(...chunks);
  assert.equal(verdict.kind, 'preauth');
  const { greeting, rest, noise } = verdict as Extract<GreetingVerdict, { kind: 'preauth' }>;
  return { greeting: greeting.toString(), rest: rest.toString('latin1'), noise: noise.toString() };
}

describe('the greeting guard', () => {
  it('lets a greeting through as it is', () => {
    assert.deepEqual(preauth(GREETING), { greeting: GREETING, rest: '', noise: '' });
  });

  it('waits for a greeting that begins in time, and for nothing else', () => {
    const noise = `${'x'.repeat(GREETING_NOISE_MAX - 4)}\n`;
    for (const start of ['* PREA', '* PREAUTH hello', '* O', '* BYE ']) {
      assert.equal(judge(noise + start).kind, 'more', start);
    }
    assert.equal(judge(`${noise}* EXISTS`).kind, 'noise');
    assert.equal(judge(`* PREAUTH ${'x'.repeat(GREETING_NOISE_MAX)}`).kind, 'noise');
  });

  it('takes no greeting behind more noise than is allowed', () => {
    const verdict = judge(`${'x'.repeat(GREETING_NOISE_MAX)}\n${GREETING}`);
    assert.equal(verdict.kind, 'noise');
    assert.equal('noise' in verdict && verdict.noise.length, GREETING_NOISE_MAX);
  });

  it('keeps noise out', () => {
    const noise = 'Welcome to work\r\n\n* hello this is motd\r\n* ok, bye now\n';
    assert.deepEqual(preauth(noise + GREETING), { greeting: GREETING, rest: '', noise });
  });

  it('gives what follows the greeting unchanged, NUL and 8-bit too', () => {
    const rest = '* 1 EXISTS\n\0\xff\r';
    assert.equal(preauth(Buffer.from(GREETING + rest, 'latin1')).rest, rest);
  });

  it('mends a lone LF, a lone CR and a NUL', () => {
    assert.equal(preauth('* PREAUTH hello\n').greeting, '* PREAUTH hello\r\n');
    assert.equal(preauth('* PREAUTH a\rb\0c\r\r\n').greeting, '* PREAUTH a b c \r\n');
  });

  it('mends a greeting of 1,500 bytes by dropping its capabilities', () => {
    const { greeting } = preauth(`* PREAUTH [CAPABILITY ${'X'.repeat(1_500)}] ready\r\n`);
    assert.equal(greeting, '* PREAUTH ready\r\n');
  });

  it('mends a greeting that is long without capabilities by cutting its prose', () => {
    const { greeting } = preauth(`* PREAUTH ${'x'.repeat(1_500)}\r\n`);
    assert.ok(greeting.length < GREETING_LINE_MAX);
    assert.match(greeting, /^\* PREAUTH x+\r\n$/);
  });

  it('takes a bare PREAUTH and any case', () => {
    assert.equal(preauth('* PREAUTH\r\n').greeting, '* PREAUTH\r\n');
    assert.equal(preauth('* preauth x\r\n').greeting, '* preauth x\r\n');
    assert.equal(judge('* PREAUTHORISED personnel only\r\n').kind, 'more');
  });

  it('mends a greeting that is nothing but capabilities', () => {
    assert.equal(preauth(`* PREAUTH [CAPABILITY ${'X'.repeat(1_500)}]\r\n`).greeting, '* PREAUTH \r\n');
  });

  it('leaves a greeting of the greatest length alone', () => {
    const start = '* PREAUTH [CAPABILITY IMAP4rev1] ';
    const longest = `${start}${'x'.repeat(GREETING_LINE_MAX - 3 - start.length)}\r\n`;
    assert.equal(preauth(longest).greeting, longest);
    assert.equal(preauth(longest.replace('\r', 'x\r')).greeting.includes('CAPABILITY'), false);
  });

  it('takes nothing for a greeting that begins with another word', () => {
    for (const start of ['x', '*', '**', '* x ', '*x', 'x ', ' * ']) {
      for (const word of ['PREAUTH', 'OK', 'BYE']) {
        assert.equal(judge(`${start}${word} ready\r\n`).kind, 'more', start + word);
      }
    }
  });

  it('has seen all that came', () => {
    const guard = new GreetingGuard();
    assert.deepEqual(guard.seen, Buffer.alloc(0));
    guard.push(Buffer.from('no such '));
    guard.push(Buffer.from('command\n'));
    assert.deepEqual(guard.seen, Buffer.from('no such command\n'));
  });

  it('tells OK and BYE', () => {
    assert.deepEqual(judge('x\n* OK IMAP4rev1 ready\r\n'), {
      kind: 'ok',
      line: '* OK IMAP4rev1 ready',
      noise: Buffer.from('x\n'),
    });
    assert.equal(judge('* BYE go away\r\n').kind, 'bye');
    assert.equal(judge('* OK\r\n').kind, 'ok');
    assert.equal(judge('* BYE\n').kind, 'bye');
  });

  it('finds the greeting behind exactly the allowed noise, and not behind more', () => {
    const noise = `${'n'.repeat(GREETING_NOISE_MAX - 1)}\n`;
    assert.equal(preauth(noise + GREETING).noise.length, GREETING_NOISE_MAX);
    assert.equal(judge(`n${noise}${GREETING}`).kind, 'noise');
    assert.equal(judge(noise, GREETING).kind, 'preauth');
    assert.equal(judge(`n${noise}* OK ready\r\n`).kind, 'noise');
  });

  it('waits behind the allowed noise for what may become a greeting, and for nothing else', () => {
    const noise = `${'n'.repeat(GREETING_NOISE_MAX - 1)}\n`;
    for (const [greeting, kind] of [
      ['* PREAUTH a long welcome\r\n', 'preauth'],
      ['* preauth x\r\n', 'preauth'],
      ['* OK a long welcome\r\n', 'ok'],
      ['* BYE a long farewell\r\n', 'bye'],
    ] as const) {
      for (let cut = 0; cut < greeting.length; cut += 1) {
        const verdict = judge(noise + greeting.slice(0, cut), greeting.slice(cut));
        assert.equal(verdict.kind, kind, `cut at ${cut}`);
      }
    }
    for (const start of ['x', '**', '* x', '* OX', '* BYTE', '* PREP', 'PREAUTH ', 'OK ']) {
      assert.equal(judge(noise + start).kind, 'noise', start);
    }
    assert.equal(judge('n'.repeat(GREETING_NOISE_MAX)).kind, 'more');
    const endless = '* PREAUTH '.padEnd(GREETING_NOISE_MAX, 'x');
    assert.equal(judge(`n\n${endless}`).kind, 'more');
    assert.equal(judge(`n\n${endless}x`).kind, 'noise');
  });

  it('gives up on endless noise, with or without lines, and on a greeting that never ends', () => {
    for (const piece of ['n', 'motd\n', '\n']) {
      assert.equal(judge(piece.repeat(GREETING_NOISE_MAX + 1)).kind, 'noise', JSON.stringify(piece));
    }
    assert.equal(judge(`* PREAUTH ${'x'.repeat(GREETING_NOISE_MAX)}`, 'x').kind, 'noise');
  });

  it('says the same however the stream is cut', () => {
    const streams = [
      `Welcome\r\n* hello\n${GREETING}* 1 EXISTS\r\n`,
      'x\n* OK no\r\nmore',
      '* BYE\n',
      '* PREAUTH a\nb\nc',
      `${'n'.repeat(300)}\n`,
    ];
    for (const stream of streams) {
      const bytes = Buffer.from(stream);
      const whole = judge(bytes);
      for (let cut = 1; cut < bytes.length; cut += 1) {
        const guard = new GreetingGuard();
        const first = guard.push(bytes.subarray(0, cut));
        const verdict = first.kind === 'more' ? guard.push(bytes.subarray(cut)) : first;
        assert.equal(verdict.kind, whole.kind, `${stream} cut at ${cut}`);
        if (verdict.kind === 'preauth' && whole.kind === 'preauth') {
          assert.deepEqual(verdict.greeting, whole.greeting);
          const rest =
            first.kind === 'more' ? verdict.rest : Buffer.concat([verdict.rest, bytes.subarray(cut)]);
          assert.deepEqual(rest, whole.rest);
        }
      }
    }
  });

  it('always makes one CRLF-ended line of safe length', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3_000 }), (tail) => {
        const line = Buffer.concat([
          Buffer.from('* PREAUTH '),
          Buffer.from(tail.filter((byte) => byte !== 10)),
        ]);
        const mended = mendGreeting(line);
        assert.ok(mended.length < GREETING_LINE_MAX);
        assert.equal(mended.indexOf('\r\n'), mended.length - 2);
        assert.equal(mended.indexOf(0), -1);
      }),
    );
  });
});
