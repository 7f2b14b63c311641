import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import './helpers/cases.ts';
import { type Invocation, parseArgv } from '../src/argv.ts';
import { Failure } from '../src/errors.ts';
import { NAME_MAX } from '../src/limits.ts';

function parse(...args: string[]): Invocation {
  const parsed = parseArgv(args);
  assert.equal(parsed.kind, 'session');
  return (parsed as { invocation: Invocation }).invocation;
}

function refuse(...args: string[]): Failure {
  try {
    parseArgv(args);
  } catch (error) {
    assert.ok(error instanceof Failure, String(error));
    return error;
  }
  assert.fail(`accepted: ${args.join(' ')}`);
}

describe("pine-rsh's argv", () => {
  it('knows who only wants to know about it', () => {
    assert.deepEqual(parseArgv(['--help']), { kind: 'help' });
    assert.deepEqual(parseArgv(['--version']), { kind: 'version' });
    assert.deepEqual(parseArgv(['-V']), { kind: 'version' });
    assert.equal(refuse('-V', 'work').code, 'usage');
  });

  it('takes what Alpine passes', () => {
    const call = parse('work', '-l', 'pat', 'exec', '/etc/rimapd');
    assert.equal(call.host, 'work');
    assert.equal(call.user, 'pat');
    assert.deepEqual(call.words, ['exec', '/etc/rimapd']);
    assert.deepEqual(call.optionsAfterHost, []);
  });

  it('asks for nothing but what is written', () => {
    const call = parse('work');
    assert.deepEqual(call, {
      host: 'work',
      user: undefined,
      port: undefined,
      family: 0,
      words: [],
      stdinFromNull: false,
      verbosity: 0,
      subsystem: false,
      forward: undefined,
      printAlias: false,
      overrides: new Map(),
      optionsAfterHost: [],
    });
    assert.ok(Object.isFrozen(call));
  });

  it('asks for help or the version, where that stands alone', () => {
    // A folder's host may be called so.
    assert.match(refuse('--help', '-l', 'pat', 'exec', '/etc/rimapd').message, /unknown option --help/);
    assert.match(refuse('--version', 'work').message, /unknown option --version/);
    assert.equal(parseArgv(['-V']).kind, 'version');
    assert.match(refuse('-V', 'work').message, /unknown option -V/);
    assert.match(refuse('work', '--help').message, /unknown option --/);
    assert.deepEqual(parse('work', 'ls', '--version').words, ['ls', '--version']);
  });

  it('takes every flag of rsh and ssh that makes no difference', () => {
    assert.deepEqual({ ...parse('-KxqaTC8t', 'work') }, { ...parse('work') });
  });

  it('counts -d and -v, and lets the last of -4 and -6 win', () => {
    const call = parse('-dv', '-46', '-v', 'work');
    assert.equal(call.verbosity, 3);
    assert.equal(call.family, 6);
    assert.equal(parse('-64', 'work').family, 4);
  });

  it('takes a lone - for no option', () => {
    assert.deepEqual(parse('work', '-', 'x').words, ['-', 'x']);
    assert.match(refuse('-').message, /begins with -/);
  });

  it('notes each option after HOST once, but for one -l of its own', () => {
    for (const [words, noted] of [
      [['-l', 'pat'], []],
      [['-lpat'], []],
      [['-l', 'pat', '-l', 'kim'], ['-l']],
      [['-nl', 'pat'], ['-nl']],
      [
        ['-nv', '-v'],
        ['-nv', '-v'],
      ],
      [['-t', '5'], ['-t']],
      [['-t5'], ['-t5']],
      [['-tt'], ['-tt']],
      [
        ['-p', '22', '--'],
        ['-p', '--'],
      ],
    ] as const) {
      const call = parse('-n', '--', 'work', ...words, 'ls');
      assert.deepEqual(call.optionsAfterHost, noted, words.join(' '));
      assert.deepEqual(call.words, ['ls']);
    }
  });

  it('takes ports from 1 to 65535', () => {
    assert.equal(parse('-p', '1', 'work').port, 1);
    assert.equal(parse('-p65535', 'work').port, 65_535);
    for (const port of ['0', '65536', '000022', '-1', '1.5', '22x', 'x22', '']) {
      assert.match(refuse('-p', port, 'work').message, /-p is a number/, port);
      assert.match(refuse(`-oPort=${port}`, 'work').message, /-o Port is a number/, port);
    }
  });

  it('takes what is set first of -p and -o Port, of USER@HOST and -o User', () => {
    assert.equal(parse('-p', '1', '-oPort=2', 'work').port, 1);
    assert.equal(parse('-oPort=1', '-oPort=2', 'work').port, 1);
    assert.equal(parse('-oUser=pat', '-oUser=kim', 'sam@work').user, 'pat');
    assert.equal(parse('-oUser=pat', '-l', 'kim', '-l', 'sam', 'work').user, 'sam');
  });

  it('takes every address of -W that has a host and a port, and no other', () => {
    for (const [text, host, port] of [
      ['mail:25', 'mail', 25],
      ['192.0.2.1:1', '192.0.2.1', 1],
      ['[fe80::1%eth0]:25', 'fe80::1%eth0', 25],
    ] as const) {
      assert.deepEqual(parse('-W', text, 'work').forward, { host, port });
    }
    for (const text of ['x[::1]:25', '[::1]:25x', '[::1]25', '::1:25', ':25', 'mail:', 'a/b:25', '[]:25']) {
      assert.match(refuse('-W', text, 'work').message, /-W is HOST:PORT/, text);
    }
    assert.match(refuse('-W', 'mail:0', 'work').message, /the port of -W is a number/);
    assert.match(refuse('-W', '-x:1', 'work').message, /begins with -/);
  });

  it('takes the blanks of an -o option away', () => {
    for (const option of ['Share=no', ' Share = no ', 'SHARE  no', '\tshare\t=no\n']) {
      assert.deepEqual([...parse('-o', option, 'work').overrides], [['SHARE', 'no']], option);
    }
    const call = parse('-oCompression=yes', '-oServerAliveCountMax=3', '-oConnectTimeout=a b', 'work');
    assert.deepEqual(Object.fromEntries(call.overrides), {
      COMPRESSION: 'yes',
      SERVER_ALIVE_COUNT_MAX: '3',
      CONNECT_TIMEOUT: 'a b',
    });
    for (const option of ['', '=no', '-Share=no', 'Share']) {
      assert.match(refuse('-o', option, 'work').message, /-o is Key=Value/, option);
    }
  });

  it('takes names of the greatest length, and shows no more of a longer one', () => {
    const name = 'a'.repeat(NAME_MAX);
    assert.equal(parse(`${name}@${name}`).host, name);
    assert.ok(refuse(`${name}b`).message.includes(`${name}... `));
    assert.match(refuse('caf\u00e9 x').message, /contains \\u\{e9\}/);
  });

  it('takes exec for a host, but not before an imapd', () => {
    assert.equal(parse('exec', 'ls').host, 'exec');
    assert.equal(parse('exec').host, 'exec');
    for (const word of ['imapd', 'rimapd', '/etc/rimapd', '/usr/sbin/imapd']) {
      assert.match(refuse('exec', word).message, /begins with -/, word);
      assert.equal(parse('work', word).host, 'work');
    }
    for (const word of ['ximapd', 'imapdx', 'rimapd/x']) assert.equal(parse('exec', word).host, 'exec');
  });

  it('takes options on both sides of HOST, until the first word of COMMAND', () => {
    const call = parse('-n', '-p', '2222', 'work', '-l', 'pat', '-v', 'ls', '-l', '/tmp');
    assert.equal(call.stdinFromNull, true);
    assert.equal(call.port, 2222);
    assert.equal(call.user, 'pat');
    assert.equal(call.verbosity, 1);
    assert.deepEqual(call.words, ['ls', '-l', '/tmp']);
    assert.deepEqual(call.optionsAfterHost, ['-v']);
  });

  it('takes -- as the end of options on either side of HOST', () => {
    assert.deepEqual(parse('--', 'work', '-l', 'pat', 'ls').words, ['ls']);
    assert.deepEqual(parse('work', '--', '-x').words, ['-x']);
  });

  it('takes bundled flags and attached values', () => {
    const call = parse('-4nlpat', '-p22', '-W[::1]:25', 'work');
    assert.equal(call.family, 4);
    assert.equal(call.stdinFromNull, true);
    assert.equal(call.user, 'pat');
    assert.equal(call.port, 22);
    assert.deepEqual(call.forward, { host: '::1', port: 25 });
  });

  it('takes USER@HOST, and -l over it', () => {
    assert.equal(parse('pat@work').user, 'pat');
    assert.equal(parse('pat@work', '-l', 'kim', 'ls').user, 'kim');
  });

  it('takes -t with a number as a timeout, and without one as nothing', () => {
    assert.equal(parse('-t', '7', 'work').overrides.get('CONNECT_TIMEOUT'), '7');
    assert.equal(parse('-t7', 'work').overrides.get('CONNECT_TIMEOUT'), '7');
    assert.equal(parse('-t', '0', 'work').overrides.get('CONNECT_TIMEOUT'), '0');
    assert.equal(parse('-t', 'work', 'top').host, 'work');
    assert.equal(parse('-tt', 'work').overrides.size, 0);
  });

  it('takes harmless -o keys in all spellings and ignores all others', () => {
    const call = parse(
      '-oForwardX11 no',
      '-o',
      'ProxyCommand=evil',
      '-oStrictHostKeyChecking=no',
      '-oConnectTimeout=3',
      '-o',
      'CONNECT_TIMEOUT=9',
      '-o',
      'ServerAliveInterval 20',
      '-oPort=2022',
      '-oUser=kim',
      'work',
    );
    assert.deepEqual(
      [...call.overrides],
      [
        ['CONNECT_TIMEOUT', '3'],
        ['SERVER_ALIVE_INTERVAL', '20'],
      ],
    );
    assert.equal(call.port, 2022);
    assert.equal(call.user, 'kim');
  });

  it('takes the argv that rsync, git, scp, sftp and cvs make', () => {
    assert.deepEqual(
      parse('-l', 'pat', 'work', 'rsync', '--server', '-logDtpre.iLsfxCIvu', '.', '/x').words[0],
      'rsync',
    );
    assert.equal(parse('-o', 'SendEnv=GIT_PROTOCOL', 'pat@work', "git-upload-pack '/r.git'").words.length, 1);
    assert.equal(parse('-p', '2222', 'work', 'git-receive-pack x').port, 2222);
    const sftp = parse(
      '-oForwardX11 no',
      '-oPermitLocalCommand no',
      '-oClearAllForwardings yes',
      '-s',
      '--',
      'work',
      'sftp',
    );
    assert.equal(sftp.subsystem, true);
    assert.deepEqual(sftp.words, ['sftp']);
    const scp = parse(
      '-x',
      '-oPermitLocalCommand=no',
      '-oRemoteCommand=none',
      '-oRequestTTY=no',
      '-l',
      'pat',
      '--',
      'work',
      'scp -f /x',
    );
    assert.equal(scp.user, 'pat');
    assert.equal(parse('-G', 'work').printAlias, true);
    assert.deepEqual(parse('work', '-l', 'pat', 'cvs', 'server').words, ['cvs', 'server']);
  });

  for (const [title, args, pattern] of [
    ['no host', [], /no host given/],
    ['options only', ['-n'], /no host after the options/],
    ['a host that begins with -', ['--', '-oProxyCommand=x'], /begins with -/],
    ['a host that begins with .', ['.ssh'], /begins with \./],
    ['a host with a slash', ['a/b'], /contains \//],
    ['a host with a control character', ['a\u001bb'], /contains \\u\{1b\}/],
    ['an empty host', ['pat@'], /empty/],
    ['two @', ['a@b@c'], /user name a@b is refused/],
    ['an endless host', ['a'.repeat(NAME_MAX + 1)], /longer than/],
    ['a user that begins with -', ['work', '-l', '-lroot'], /user name -lroot is refused: it begins with -/],
    ['a user with a blank', ['-l', 'a b', 'work'], /contains a blank/],
    ['an empty user', ['-l', '', 'work'], /user name '' is refused: it is empty/],
    ['an option without its value', ['work', '-l'], /-l needs a value/],
    ['a port out of range', ['-p', '65536', 'work'], /-p is a number from 1 to 65535/],
    ['a port that is none', ['-p', '0x16', 'work'], /-p is a number/],
    ['an unknown option', ['-Z', 'work'], /unknown option -Z/],
    ['-o without a value', ['-o', 'Port', 'work'], /-o is Key=Value/],
    ['-W without a port', ['-W', 'mail', 'work'], /-W is HOST:PORT/],
    [
      'a folder whose host is an option, as Alpine passes it',
      ['-v', '-l', 'pat', 'exec', '/etc/rimapd'],
      /begins with -/,
    ],
  ] as const) {
    it(`refuses ${title}`, () => {
      assert.match(refuse(...args).message, pattern);
    });
  }

  it('never accepts a host or user that is no safe file name', () => {
    fc.assert(
      fc.property(fc.array(fc.string(), { maxLength: 6 }), (args) => {
        try {
          const parsed = parseArgv(args);
          if (parsed.kind !== 'session') return;
          for (const name of [parsed.invocation.host, parsed.invocation.user]) {
            if (name !== undefined) assert.match(name, /^[A-Za-z0-9_+:%][A-Za-z0-9._+:%-]*$/);
          }
        } catch (error) {
          assert.ok(error instanceof Failure, String(error));
          assert.match(error.message, /^[\x20-\x7e]+$/);
        }
      }),
    );
  });
});
