/**
 * What people see on a narrow terminal and on any background: no line is wider than the terminal, no word that fits is
 * broken, and no colour vanishes on black or on white.
 */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { formatFinding } from '../../src/commands/doctor/report.ts';
import { STYLES } from '../../src/commands/output.ts';
import { formatSummary } from '../../src/commands/queue-list.ts';
import { formatBrokers } from '../../src/commands/status.ts';
import { COMMANDS, runCtl } from '../../src/ctl-args.ts';
import { readSettings } from '../../src/settings.ts';
import { displayWidth } from '../../src/terminal-columns.ts';
import { openTempHome, type TempHome } from '../helpers/temp-home.ts';
import { captureOutput } from './capture.ts';

const PROGRAM = { path: '/opt/bin/pine-rsh', version: '1.2.3' };
const NARROW = 40;
const WIDE = 100;

/** One alias that is fine but for its host, which is down, between others that are broken. */
function openMixedHome(t: TestContext): TempHome {
  const home = openTempHome(t);
  home.writeFile('.config/pine-rsh/hosts/archive.env', 'HOSTNAME=mail.example.org\nUSER=pat # me\n');
  home.writeAlias('down', {
    HOSTNAME: '127.0.0.1',
    PORT: 1,
    USER: 'pat',
    ALIASES: 'mail.example.org,*.corp.example.org',
    SSH_CONFIG: 'no',
  });
  home.writeFile('.config/pine-rsh/hosts/open.env', 'USER=pat\n', 0o666);
  home.writeFile('.config/pine-rsh/hosts/typo.env', 'HOSTNAME=mail.example.org\nPORTT=22\n');
  mkdirSync(home.stateDir, { recursive: true });
  home.writeFile(
    '.local/state/pine-rsh/log',
    '2026-11-22T23:40:41.187Z 16695 stderr alias=work text="imap(pat): Info: Disconnected: Logged out in=27 out=779"\n',
  );
  return home;
}

async function show(
  home: TempHome,
  words: readonly string[],
  columns: number,
): Promise<{ status: number; text: string }> {
  const output = captureOutput({ columns, terminal: true });
  const status = await runCtl(words, readSettings(home.env), PROGRAM, output);
  // How long something took is different each time.
  return { status, text: `${output.text()}${output.errors()}`.replace(/ \(\d+\sms\)/g, '') };
}

function assertFits(narrow: string, wide: string, what: string): void {
  const lines = narrow.split('\n');
  assert.deepEqual(
    lines.filter((line) => displayWidth(line) > NARROW),
    [],
    what,
  );
  // Set in by six at most.
  const fits = (word: string): boolean => word.length <= NARROW - 6;
  // Long lists and paths are broken behind a comma or a slash.
  const words = new Set(narrow.split(/[\s=,/]+/));
  const broken = wide.split(/[\s=,/]+/).filter((word) => fits(word) && !words.has(word));
  assert.deepEqual(broken, [], what);
}

for (const words of [
  [],
  ['list'],
  ['show', 'down'],
  ['show', 'dwon'],
  ['show', 'nobody'],
  ['doctor'],
  ['status'],
  ['queue', 'list'],
  ['log'],
  ['trust', 'down'],
  ['setup', 'work'],
  ['setup', 'work', 'pat@127.0.0.1:1'],
  ['--help'],
  ...COMMANDS.map(({ name }) => [name, '--help']),
]) {
  test(`pine-rshctl ${words.join(' ')} fits into ${NARROW} columns`, async (t) => {
    const home = openMixedHome(t);
    const narrow = await show(home, words, NARROW);
    const wide = await show(home, words, WIDE);
    assert.equal(narrow.status, wide.status);
    assert.notEqual(narrow.text, '');
    assertFits(narrow.text, wide.text, narrow.text);
  });
}

test('what needs a broker, a message or a host fits, too', () => {
  const broker = { alias: 'work', pid: 17923, version: '0.1.0 (standalone)', sessions: 2, warm: 1 };
  const mail = {
    id: '9d45fd',
    alias: 'a-rather-long-name-of-an-alias',
    state: 'unknown',
    time: 0,
    size: 136,
    to: 'ann@example.org, bob@a-very-long-domain.example.net, carol@example.com',
    subject: 'The plan for next week, and the one after it',
    note: 'the message may or may not have been sent by 127.0.0.1 (it was closed)',
    args: ['-oi', '-t'],
  } as const;
  for (const lay of [
    (output: ReturnType<typeof captureOutput>) =>
      formatBrokers(
        [{ ...broker, age_s: 70_000, bytes: 1e9 } as Parameters<typeof formatBrokers>[0][0]],
        output,
      ),
    (output: ReturnType<typeof captureOutput>) =>
      formatFinding(
        {
          mark: 'warning',
          check: 'noise',
          ms: 12,
          text: 'the host key is the known one of all',
          hint: 'none',
        },
        output,
      ),
  ]) {
    assertFits(
      lay(captureOutput({ columns: NARROW })).join('\n'),
      lay(captureOutput({ columns: WIDE })).join('\n'),
      String(lay),
    );
  }
  // Lines of a message are cut, not wrapped.
  for (const line of formatSummary(mail, 1e6, captureOutput({ columns: NARROW })))
    assert.ok(displayWidth(line) <= NARROW, line);
});

test('a time and its unit stay on one line', () => {
  for (let length = 1; length < NARROW; length++) {
    const finding = {
      mark: 'ok',
      check: 'login',
      ms: 38,
      text: 'x'.repeat(length),
      hint: undefined,
    } as const;
    assert.match(formatFinding(finding, captureOutput({ columns: NARROW })).join('\n'), /\(38 ms\)$/);
  }
});

test('a log that is no terminal gets its lines whole', async (t) => {
  const home = openMixedHome(t);
  const output = captureOutput({ columns: NARROW });
  await runCtl(['log'], readSettings(home.env), PROGRAM, output);
  assert.equal(output.text(), home.log());
});

test('one broken alias file hides no other, and is named with its line', async (t) => {
  const home = openMixedHome(t);
  const hosts = join(home.configDir, 'hosts');
  for (const words of [['list'], ['doctor']]) {
    const { status, text } = await show(home, words, 500);
    assert.equal(status, 1);
    assert.ok(text.includes(`${hosts}/archive.env:2: an unquoted # cuts the value of USER`), text);
    assert.ok(text.includes(`${hosts}/typo.env:2: unknown key PORTT`), text);
    assert.ok(text.includes(`${hosts}/open.env: others can write to it`), text);
    const names = text.match(/^(?:archive|down|open|typo)\b/gm);
    assert.deepEqual(names, ['archive', 'down', 'open', 'typo']);
  }
  assert.match((await show(home, ['list'], 500)).text, /^down +pat@127\.0\.0\.1:1/m);
  assert.match((await show(home, ['doctor'], 500)).text, /127\.0\.0\.1:1 refused the connection/);
});

/** xterm's, which most terminals come close to. */
const XTERM: Readonly<Record<number, readonly [number, number, number]>> = {
  31: [0xcd, 0, 0],
  32: [0, 0xcd, 0],
  33: [0xcd, 0xcd, 0],
  34: [0, 0, 0xee],
  35: [0xcd, 0, 0xcd],
  36: [0, 0xcd, 0xcd],
};

/** Relative luminance (WCAG 2.1). */
function luminance(rgb: readonly number[]): number {
  const [red = 0, green = 0, blue = 0] = rgb.map((value) => {
    const part = value / 255;
    return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

test('every colour stands out from black and from white', () => {
  for (const [name, code] of Object.entries(STYLES)) {
    if (code === 1) continue;
    const color = luminance(XTERM[code] ?? [128, 128, 128]);
    // What WCAG 2.1 asks for large text and for symbols.
    assert.ok((color + 0.05) / 0.05 >= 3, `${name} on black`);
    assert.ok(1.05 / (color + 0.05) >= 3, `${name} on white`);
  }
});
