/**
 * The manual pages against the code: each option, command, alias key with its default, and environment variable has
 * its `.It` line in a page, and no page has one that the code does not know. Whoever adds one adds it there.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { ALIAS_KEY_NAMES, ALIAS_KEYS, type AliasKey } from '../src/alias/keys.ts';
import { OVERRIDE_KEYWORDS, parseArgv } from '../src/argv.ts';
import { COMMANDS } from '../src/ctl-args.ts';
import { Failure, failureReasons } from '../src/errors.ts';
import { SIGNAL_STATUS_BASE } from '../src/limits.ts';
import { readSettings } from '../src/settings.ts';
import { signalNumber } from '../src/signals.ts';
import { USAGE } from '../src/usage.ts';
import { ROOT } from './helpers/builds.ts';
import { programPath, requirePrograms } from './helpers/requirements.ts';

const MAN = join(ROOT, 'man');
const PAGES = readdirSync(MAN);

/** An entry of a list: the words of its `.It` line, and the lines below, lists in them included. */
interface Entry {
  readonly head: readonly string[];
  readonly depth: number;
  readonly lines: readonly string[];
}

function readSection(page: string, title: string): string[] {
  const lines = readFileSync(join(MAN, page), 'utf8').split('\n');
  const start = lines.indexOf(`.Sh ${title}`);
  assert.notEqual(start, -1, `man/${page} has no section ${title}`);
  const length = lines.slice(start + 1).findIndex((line) => line.startsWith('.Sh '));
  return lines.slice(start + 1, length === -1 ? undefined : start + 1 + length);
}

function readEntries(page: string, title: string): Entry[] {
  const entries: { head: string[]; depth: number; lines: string[] }[] = [];
  let open: typeof entries = [];
  let depth = 0;
  for (const line of readSection(page, title)) {
    if (line.startsWith('.Bl ')) depth += 1;
    if (line.startsWith('.El')) depth -= 1;
    const begins = line.startsWith('.It ');
    open = open.filter((entry) => (begins ? entry.depth < depth : entry.depth <= depth));
    for (const { lines } of open) lines.push(line);
    if (!begins) continue;
    const entry = { head: line.slice('.It '.length).split(' '), depth, lines: [] };
    entries.push(entry);
    open.push(entry);
  }
  return entries;
}

/** What stands behind `macro` in the first words: `Fl d , v` gives d and v. */
function namesOf(entry: Entry, macro: string): string[] {
  if (entry.head[0] !== macro) return [];
  const rest = entry.head.slice(1);
  const end = rest.findIndex((word) => /^[A-Z][a-z]$/.test(word));
  return rest.slice(0, end === -1 ? undefined : end).filter((word) => word !== ',' && word !== '|');
}

function namesIn(page: string, title: string, macro: string, depth = 1): string[] {
  return readEntries(page, title)
    .filter((entry) => entry.depth === depth)
    .flatMap((entry) => namesOf(entry, macro));
}

function assertSame(page: string, title: string, macro: string, inPage: string[], inCode: string[]): void {
  const missing = inCode.filter((name) => !inPage.includes(name));
  const surplus = inPage.filter((name) => !inCode.includes(name));
  const add = `add an entry ".It ${macro} NAME" to the section ${title} of man/${page} for each of these`;
  assert.deepEqual(missing, [], add);
  assert.deepEqual(surplus, [], `take these out of the section ${title} of man/${page}: the code has none`);
  assert.deepEqual(
    inPage.filter((name, index) => inPage.indexOf(name) !== index),
    [],
    `twice in man/${page}`,
  );
}

/** The letters that pine-rsh takes as an option before a host. */
function acceptedFlags(): string[] {
  const letters = [...'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789'];
  return letters.filter((letter) => {
    try {
      return parseArgv([`-${letter}`, ...(letter === 'V' ? [] : ['a:1', 'host', 'host'])]).kind !== 'help';
    } catch (error) {
      assert.ok(error instanceof Failure);
      return !error.message.includes('unknown option') && !error.message.includes('no host');
    }
  });
}

describe('pine-rsh(1)', () => {
  const page = 'pine-rsh.1';

  it('has every option that the parser takes', () => {
    const inPage = namesIn(page, 'OPTIONS', 'Fl').filter((name) => !name.startsWith('-'));
    assertSame(page, 'OPTIONS', 'Fl', inPage.sort(), acceptedFlags().sort());
    const long = namesIn(page, 'OPTIONS', 'Fl').filter((name) => name.startsWith('-'));
    assert.deepEqual(long.sort(), ['-', '-help', '-version']);
  });

  it('has every option that --help shows', () => {
    const shown = [...USAGE.matchAll(/^ {2}(-\S.*?)(?: {2}|$)/gm)].flatMap((match) =>
      [...(match[1] as string).matchAll(/(?:^|, )-(-?[A-Za-z0-9]+)/g)].map((flag) => flag[1] as string),
    );
    assert.ok(shown.length > 10);
    const inPage = namesIn(page, 'OPTIONS', 'Fl');
    assert.deepEqual(
      shown.filter((name) => !inPage.includes(name)),
      [],
    );
  });

  it('has every key of -o', () => {
    const inPage = namesIn(page, 'OPTIONS', 'Cm', 2).map((name) => name.toLowerCase());
    assertSame(page, 'OPTIONS', 'Cm', inPage, [...OVERRIDE_KEYWORDS.keys(), 'port', 'user']);
  });

  it('has, with pine-rshctl(1), every environment variable that is read', () => {
    const read = new Set<string>();
    readSettings(
      new Proxy<Record<string, string | undefined>>(
        {},
        {
          get: (_, name) => {
            read.add(String(name));
            return undefined;
          },
        },
      ),
    );
    // Asked for only where there is a program to be asked with.
    const more = ['DISPLAY', 'WAYLAND_DISPLAY'];
    const ctl = namesIn('pine-rshctl.1', 'ENVIRONMENT', 'Ev');
    const both = [...namesIn(page, 'ENVIRONMENT', 'Ev'), ...ctl];
    assertSame(page, 'ENVIRONMENT', 'Ev', both, [...new Set([...read, ...more])]);
  });
});

describe('exit statuses', () => {
  const statusesIn = (page: string): string[] =>
    readEntries(page, 'EXIT STATUS').flatMap(({ head }) => head.filter((word) => /^\d+$/.test(word)));

  it('of a sendmail are all in pine-rsh(1) and in docs/sending-mail.md', () => {
    const own = [...new Set(Object.values(failureReasons()).map(({ sysexit }) => String(sysexit)))].sort();
    assert.deepEqual(statusesIn('pine-rsh.1'), own);
    const words = readFileSync(join(ROOT, 'docs', 'sending-mail.md'), 'utf8').split(/[^\w]+/);
    for (const status of own) assert.ok(words.includes(status), `docs/sending-mail.md lacks ${status}`);
  });

  it('of pine-rshctl are all in its page', () => {
    const interrupts = ['SIGHUP', 'SIGINT', 'SIGTERM', 'SIGPIPE'].map((name) =>
      String(SIGNAL_STATUS_BASE + signalNumber(name)),
    );
    assert.deepEqual(statusesIn('pine-rshctl.1').sort(), ['0', '1', '64', '70', ...interrupts].sort());
  });
});

describe('pine-rshctl(1)', () => {
  const page = 'pine-rshctl.1';
  const entries = readEntries(page, 'COMMANDS');
  const ofCommand = (name: string): Entry | undefined =>
    entries.find((entry) => entry.depth === 1 && entry.head[0] === 'Ic' && entry.head[1] === name);

  it('has every command', () => {
    const inPage = entries
      .filter(({ depth }) => depth === 1)
      .map(({ head }) => (head[0] === 'Ic' ? (head[1] ?? '') : head.join(' ')));
    const inCode = COMMANDS.map(({ name }) => name);
    assertSame(page, 'COMMANDS', 'Ic', inPage, inCode);
    assert.deepEqual(inPage, inCode, 'in the order of the help');
  });

  for (const command of COMMANDS) {
    it(`has the arguments and options of ${command.name}`, () => {
      const entry = ofCommand(command.name);
      assert.ok(entry, `add ".It Ic ${command.name}" to the section COMMANDS of man/${page}`);
      const own = entry.lines
        .filter((line) => line.startsWith('.It Fl '))
        .flatMap((line) => namesOf({ head: line.slice(4).split(' '), depth: 2, lines: [] }, 'Fl'));
      const declared = Object.entries(command.options).flatMap(([name, { short }]) => [
        ...(short === undefined ? [] : [short]),
        `-${name}`,
      ]);
      assertSame(page, `COMMANDS (${command.name})`, 'Fl', own, declared);
      for (const [name, { kind }] of Object.entries(command.options)) {
        if (kind === 'switch') continue;
        const line =
          entry.lines.find((each) => each.startsWith('.It Fl ') && each.includes(`-${name}`)) ?? '';
        assert.match(line, / Ar /, `--${name} takes a value; say so with Ar in man/${page}`);
      }
      const words = entry.head.join(' ').replace(/Fl \S+(?: , \S+)*(?: Ar \S+)?/g, '');
      const operands = [...words.matchAll(/Ar ([a-z-]+)/g)].map((match) => match[1]);
      assert.deepEqual(
        operands,
        Object.keys(command.operands),
        `man/${page}: the words "Ar NAME" behind .It Ic ${command.name} are its arguments`,
      );
    });
  }

  it('has the options of every command', () => {
    assert.deepEqual(namesIn(page, 'OPTIONS', 'Fl'), ['h', '-help', '-version']);
  });
});

describe('pine-rsh-alias(5)', () => {
  const page = 'pine-rsh-alias.5';

  it('has every key, in the order of the table', () => {
    const inPage = namesIn(page, 'KEYS', 'Cm');
    assertSame(page, 'KEYS', 'Cm', inPage, [...ALIAS_KEY_NAMES]);
    assert.deepEqual(inPage, ALIAS_KEY_NAMES);
  });

  for (const entry of readEntries(page, 'KEYS')) {
    const [name = ''] = namesOf(entry, 'Cm');
    it(`says what holds without ${name}, and where it may stand`, () => {
      const key: AliasKey<unknown> | undefined = ALIAS_KEYS[name as keyof typeof ALIAS_KEYS];
      assert.ok(key);
      const text = plainText(entry.lines);
      const held = key.preset ?? key.unset ?? '';
      assert.ok(
        text.endsWith(`Default: ${held}.`),
        `man/${page}, ${name}: end with "Default: ${held}."; it has: ${text}`,
      );
      if (entry.lines.some((line) => /^\.Cm none\b/.test(line))) {
        const parsed = key.parse('none', '/home/pat');
        assert.ok('value' in parsed, `${name}=none`);
        assert.ok([undefined, 'none', ''].includes(parsed.value?.toString()), `${name}=none`);
      }
      assert.equal(text.includes('Only in alias files.'), key.only === 'alias', 'Only in alias files.');
      assert.equal(text.includes('Only in defaults.env.'), key.only === 'defaults', 'Only in defaults.env.');
    });
  }
});

/** The words of an entry without its first line and without macros. */
function plainText(lines: readonly string[]): string {
  return lines
    .filter((line) => !/^\.(?:El|Bl|Ss|Sh|Ed)\b/.test(line))
    .map((line) => line.replace(/^\.[A-Z][a-z] /, '').replaceAll('\\(ti', '~'))
    .join(' ')
    .replaceAll(' .', '.')
    .trim();
}

for (const page of PAGES) {
  it(`${page} is clean mdoc`, { skip: requirePrograms('mandoc') }, () => {
    const file = join(MAN, page);
    const said = spawnSync(programPath('mandoc'), ['-Tlint', '-Wall', file], { encoding: 'utf8' }).stdout;
    const [own, others] = [/Xr (pine-rsh\S*) (\d)/, /referenced manual not found/];
    // Which pages this machine has says nothing about ours; that our own exist is looked at here.
    const complaints = said.split('\n').filter((line) => line !== '' && !others.test(line));
    assert.deepEqual(complaints, []);
    for (const [, name, section] of readFileSync(file, 'utf8').matchAll(new RegExp(own, 'g')))
      assert.ok(PAGES.includes(`${name}.${section}`), `${name}(${section})`);
  });

  it(`${page} has the sections that people look for`, () => {
    const commands = ['SYNOPSIS', 'OPTIONS', 'ENVIRONMENT', 'EXIT STATUS'];
    for (const title of [
      'NAME',
      'DESCRIPTION',
      'FILES',
      'EXAMPLES',
      'SEE ALSO',
      ...(page.endsWith('.1') ? commands : []),
    ])
      assert.ok(readSection(page, title).length > 0);
  });
}
