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
  it('takes what Alpine passes', () => {
    const call = parse('work', '-l', 'pat', 'exec', '/etc/rimapd');
    assert.equal(call.host, 'work');
    assert.equal(call.user, 'pat');
    assert.deepEqual(call.words, ['exec', '/etc/rimapd']);
    assert.deepEqual(call.optionsAfterHost, []);
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
